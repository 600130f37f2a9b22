"""A closed set of words and phrases in other languages."""

from training.tasks.facts.closed import closed, mentioned, table, typed
from training.tasks.problem import Problem
from training.tasks.words import FOODS, JOBS
from training.wordings import Draw

LANGUAGES = ("Spanish", "French", "German")
WORDS = {
    row[0]: dict(zip(LANGUAGES, row[1:], strict=True))
    for row in table(
        """
        hello|hola|bonjour|hallo
        goodbye|adiós|au revoir|auf Wiedersehen
        thank you|gracias|merci|danke
        please|por favor|s'il vous plaît|bitte
        yes|sí|oui|ja
        no|no|non|nein
        good morning|buenos días|bonjour|guten Morgen
        good night|buenas noches|bonne nuit|gute Nacht
        how are you|cómo estás|comment ça va|wie geht es dir
        I love you|te quiero|je t'aime|ich liebe dich
        dog|perro|chien|Hund
        cat|gato|chat|Katze
        bird|pájaro|oiseau|Vogel
        horse|caballo|cheval|Pferd
        house|casa|maison|Haus
        door|puerta|porte|Tür
        table|mesa|table|Tisch
        water|agua|eau|Wasser
        bread|pan|pain|Brot
        milk|leche|lait|Milch
        cheese|queso|fromage|Käse
        apple|manzana|pomme|Apfel
        coffee|café|café|Kaffee
        book|libro|livre|Buch
        friend|amigo|ami|Freund
        mother|madre|mère|Mutter
        father|padre|père|Vater
        brother|hermano|frère|Bruder
        sister|hermana|sœur|Schwester
        man|hombre|homme|Mann
        woman|mujer|femme|Frau
        child|niño|enfant|Kind
        day|día|jour|Tag
        night|noche|nuit|Nacht
        sun|sol|soleil|Sonne
        moon|luna|lune|Mond
        tree|árbol|arbre|Baum
        flower|flor|fleur|Blume
        car|coche|voiture|Auto
        school|escuela|école|Schule
        city|ciudad|ville|Stadt
        love|amor|amour|Liebe
        red|rojo|rouge|rot
        blue|azul|bleu|blau
        green|verde|vert|grün
        yellow|amarillo|jaune|gelb
        white|blanco|blanc|weiß
        one|uno|un|eins
        two|dos|deux|zwei
        three|tres|trois|drei
        four|cuatro|quatre|vier
        five|cinco|cinq|fünf
        ten|diez|dix|zehn
        big|grande|grand|groß
        small|pequeño|petit|klein
        good|bueno|bon|gut
        happy|feliz|heureux|glücklich
        cold|frío|froid|kalt
        hot|caliente|chaud|heiß
        """
    )
}
SYNONYMS = {
    "hello": ("hi", "hello"),
    "goodbye": ("bye", "goodbye"),
    "thank you": ("thanks", "thank you"),
    "mother": ("mom", "mother"),
    "father": ("dad", "father"),
}
GREETINGS = {
    "Italian": ("ciao", "grazie"),
    "Portuguese": ("olá", "obrigado"),
    "Dutch": ("hallo", "dank je"),
    "Swedish": ("hej", "tack"),
    "Polish": ("cześć", "dziękuję"),
    "Russian": ("privet", "spasibo"),
    "Japanese": ("konnichiwa", "arigato"),
    "Chinese": ("ni hao", "xie xie"),
    "Korean": ("annyeong", "gomawo"),
    "Hindi": ("namaste", "dhanyavaad"),
    "Arabic": ("marhaba", "shukran"),
    "Turkish": ("merhaba", "teşekkürler"),
}
MEANINGS: dict[str, str] = {}
for _english, _foreign in WORDS.items():
    for _text in _foreign.values():
        MEANINGS.setdefault(_text, _english)
for _text in ("no", "un", "table", "pan", "pain", "chat", "gut", "bon", "rot"):
    MEANINGS.pop(_text)  # English words as well, or parts of words
UNKNOWN = "I know only a few words of Spanish, French and German."
INTO = (
    "~Translate {word} [to|into|in] {language}.",
    "~Translate [to|into] {language}: {word}",
    "~Translate the [word|following|word or phrase] [to|into] {language}: {word}",
    "~[Translate|Put|Turn|Convert] {word} from English [to|into] {language}.",
    "[How do you|How do I|How to|How can I|how would you] say {word} in {language}?",
    "[What is|What's|whats] {word} in {language}?",
    "[What is|What's|whats] the {language} [word|translation] [for|of] {word}?",
    "[What is|What's] the {language} for {word}?",
    "{language} [word |]for {word}[?|]",
    "{word} in {language}[?|]",
    "{word} [to|into] {language}[?|]",
    "{word} -> {language}",
    "{language}: {word}",
    "~Say {word} in {language}.",
    "~[Give|Tell|Show] me the {language} [word|translation] [for|of] {word}.",
    "~[Write|Give me] {word} in {language}.",
    "[Do you know|Can you tell me] {word} in {language}?",
    "[Do you know|Can you tell me] [how to|how people] say {word} in {language}?",
    "[I need|I want|gimme] {word} in {language}",
    "In {language}, [what is|what's|how do they say] {word}?",
    "In {language}, {word} is[...| ___| what?|]",
    "[What do|How do] [they|people who speak {language}] say for {word} in {language}?",
    "[English to {language}|translation, {language}|Translation to {language}]: {word}",
    "[My|A] friend speaks {language}. How do I say {word} [to them|in their language]?",
    "I am learning {language}. [What is|How do I say] {word}?",
)
MEANING = (
    "What does {word} mean?",
    "[So what|What] does [the word |]{word} mean[ in English|]?",
    "What does {word} mean in English?",
    "[What is|What's|whats] {word} in English?",
    "~Translate {word} [to|into] English.",
    "~Translate [to|into] English: {word}",
    "[Meaning of|What is the meaning of] {word}[?|]",
    "[English word|The English word|English] for {word}[?|]",
    "{word} [in English|to English|into English|-> English]",
    "[How do you|How do I] say {word} in English?",
    "[English|In English|English translation]: {word}",
    "~[Give|Tell] me the English [word|translation] [for|of] {word}.",
    "[Do you know|Can you tell me] what {word} means?",
    "Somebody said {word} to me. What does it mean?",
    "{word} means [what|...|what in English][?|]",
    "What is the English [word|translation] [for|of] {word}?",
    "[The word is|I read the word] {word}. What does it mean?",
    "{word} = [?|... in English]",
    "[I heard|I saw] {word}. [What is that|What does that mean] in English?",
    "what is the meaning of {word} in English",
    "~Explain the word {word} in English.",
    "English please: {word}",
)
UNKNOWN_TEXTS = (
    "I would like to eat {food}",
    "My brother is a {job}",
    "The {food} is very good",
    "Where is the train station?",
    "I am going to the market tomorrow",
    "She works as a {job}",
    "We had {food} for dinner",
    "Can you help me find my hotel?",
    "The weather is nice today",
    "I do not speak your language",
    "He wants to become a {job}",
    "This is the best day of my life",
)


def translation(draw: Draw) -> Problem:
    """A word in another language, the meaning of one, or that the model does not know."""
    kind = draw.rng.random()
    if kind < 0.62:
        language, english = draw.pick(LANGUAGES), draw.pick(list(WORDS))
        if draw.chance(0.25):
            english = draw.pick(list(WORDS)[:10])
        asked = draw.pick(SYNONYMS.get(english, (english,)))
        return _into(draw, language, english, asked, WORDS[english][language])
    if kind < 0.74:
        language, (hello, thanks) = draw.pick(list(GREETINGS.items()))
        english, word = draw.pick((("hello", hello), ("thank you", thanks)))
        asked = draw.pick(SYNONYMS[english])
        return _into(draw, language, english, asked, word)
    if kind < 0.92:
        word, english = draw.pick(list(MEANINGS.items()))
        request = draw.say(MEANING, word=mentioned(draw, word))
        return closed("translation", f"meaning:{word}", request, f'"{word}" means "{english}".')
    language = draw.pick((*LANGUAGES, *GREETINGS))
    text = draw.say(UNKNOWN_TEXTS, alone=True, food=draw.pick(FOODS), job=draw.pick(JOBS))
    if draw.chance(0.4):
        text = draw.word()
        text = text if text not in WORDS else "bucket"
    request = draw.say(INTO, word=mentioned(draw, text), language=typed(draw, language))
    return closed("translation", "unknown", request, UNKNOWN)


def _into(draw: Draw, language: str, english: str, asked: str, word: str) -> Problem:
    request = draw.say(INTO, word=mentioned(draw, asked), language=typed(draw, language))
    answer = f'In {language}, "{english}" is "{word}".'
    return closed("translation", f"{language}:{english}", request, answer, f'"{word}"')
