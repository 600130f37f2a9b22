"""Texts that are no requests: foreign sentences, mashed keys, lone words and fragments."""

from functools import cache

from training.tasks.facts.definitions import DEFINITIONS
from training.tasks.words import COMMON, LETTERS, lexicon
from training.wordings import NEIGHBOURS, Draw

FOREIGN = tuple(
    line.strip()
    for line in """
    Où est la gare ?
    Je voudrais un café, s'il vous plaît.
    Quelle est la capitale de la France ?
    Écris une histoire sur un chat.
    Comment fait-on une tarte aux pommes ?
    Il fait très beau aujourd'hui.
    Combien font deux et trois ?
    Je ne comprends pas l'anglais.
    Peux-tu m'aider avec mes devoirs ?
    Raconte-moi une blague.
    Mon frère habite à Lyon.
    Quel temps fait-il demain ?
    Traduis cette phrase en anglais.
    J'ai perdu mes clés hier soir.
    Qui a écrit Les Misérables ?
    Nous allons au cinéma ce soir.
    Wo ist der Bahnhof?
    Ich hätte gern ein Bier, bitte.
    Was ist die Hauptstadt von Deutschland?
    Schreibe mir eine Geschichte über einen Hund.
    Wie wird das Wetter morgen?
    Ich verstehe kein Englisch.
    Kannst du mir bei den Hausaufgaben helfen?
    Erzähl mir einen Witz.
    Meine Schwester wohnt in Hamburg.
    Wie viel ist zwei plus drei?
    Sortiere diese Wörter bitte.
    Wann fährt der nächste Zug?
    Ich habe heute keine Zeit.
    Wer war der erste Kaiser?
    Das Essen schmeckt sehr gut.
    Übersetze das ins Englische.
    ¿Dónde está la estación?
    Quisiera una mesa para dos personas.
    ¿Cuál es la capital de España?
    Escribe un cuento sobre un perro.
    ¿Qué tiempo hace hoy?
    No entiendo inglés.
    ¿Puedes ayudarme con la tarea?
    Cuéntame un chiste.
    Mi hermano vive en Sevilla.
    ¿Cuánto es dos más tres?
    Mañana vamos a la playa.
    ¿Quién escribió Don Quijote?
    Tengo mucha hambre.
    La comida está muy rica.
    Traduce esta frase al inglés.
    ¿Cuándo sale el próximo tren?
    Dov'è la stazione?
    Vorrei un caffè, per favore.
    Qual è la capitale d'Italia?
    Scrivi una storia su un gatto.
    Che tempo fa domani?
    Non capisco l'inglese.
    Mi puoi aiutare con i compiti?
    Raccontami una barzelletta.
    Quanto fa due più tre?
    Andiamo al mare domenica.
    Onde fica a estação?
    Qual é a capital de Portugal?
    Escreve uma história sobre um gato.
    Não falo inglês.
    Como está o tempo hoje?
    Eu moro em Lisboa com a minha família.
    Quanto é dois mais três?
    Waar is het station?
    Wat is de hoofdstad van Nederland?
    Schrijf een verhaal over een hond.
    Hoe laat is het?
    Ik spreek geen Engels.
    Var ligger stationen?
    Vad heter du?
    Jag talar inte engelska.
    Skriv en berättelse om en katt.
    Gdzie jest dworzec?
    Nie mówię po angielsku.
    Napisz opowiadanie o psie.
    Jaka jest stolica Polski?
    İstasyon nerede?
    Bana bir hikaye anlat.
    Bugün hava nasıl?
    İngilizce bilmiyorum.
    Missä on asema?
    Hol van az állomás?
    Kde je nádraží?
    Unde este gara?
    Πού είναι ο σταθμός;
    Где находится вокзал?
    Как тебя зовут?
    Расскажи мне историю.
    Сколько будет два плюс три?
    Де знаходиться вокзал?
    车站在哪里？
    请给我讲一个故事。
    今天天气怎么样？
    你好，你是谁？
    駅はどこですか。
    お話を聞かせてください。
    今日の天気はどうですか。
    역이 어디에 있습니까?
    이야기를 들려주세요.
    أين المحطة؟
    احك لي قصة
    איפה התחנה?
    स्टेशन कहाँ है?
    मुझे एक कहानी सुनाओ।
    สถานีอยู่ที่ไหน
    Nhà ga ở đâu?
    Di mana stasiun?
    Kituo kiko wapi?
    Lorem ipsum dolor sit amet, consectetur adipiscing elit.
    Veni, vidi, vici.
    Cogito, ergo sum.
    """.strip().splitlines()
)
MARKS = (
    *(
        "???",
        "?",
        "!!!",
        "...",
        "!?",
        "?!?!",
        "-",
        "--",
        "***",
        "#",
        "$$$",
        "@@@",
        "&&",
        ";;",
        "()",
    ),
    *("()", "[]", "<>", "/", "//", "\\", "^^", "~", "+++", "===", "_", "|", "%%%", ",,,", "::"),
)
STATEMENTS = (
    "The {w} is [on|under|behind] the {w2}.",
    "I [bought|lost|found|saw|broke] a {w} [yesterday|today|last week].",
    "My {w} is [broken|gone|too big|very old].",
    "We [went|drove|walked] to the {w} [yesterday|with the {w2}].",
    "There is a {w} in my {w2}.",
    "[He|She] [wants|needs|likes|forgot] the {w}.",
    "{w} {w2}",
    "{w} {w2} {w3}",
    "{w}, [but|and|or] {w2}",
    "the {w}",
    "a {w} of {w2}",
    "[if|when|because] the {w} {w2}",
    "[in|on|at|for|with] the {w}",
    "no {w}",
    "[some|more|any] {w}",
    "[so|well|but] the {w}",
    "I think [that |]the {w} was {w2}.",
    "[Yesterday|Today|Now] the {w} {w2}",
    "{w} is {w2}",
    "{w} [vs|versus|or] {w2}",
    "why {w}",
    "what about {w}",
    "how {w}",
    "I am [going|coming|driving] to the {w}.",
    "[It|That|This] [is|was] the {w} [of|from] the {w2}.",
    "Nobody [knows|saw|likes] the {w}.",
    "[Every|Each] {w} has a {w2}.",
    "My [uncle|aunt|neighbor] [sells|paints|collects] {w}.",
)
QUESTIONS = (
    "Where is my {w}?",
    "Why is the {w} {w2}?",
    "Who [invented|made|owns|discovered] the {w}?",
    "How do I [fix|clean|build|use|paint] a {w}?",
    "What is the [history|price|meaning|future|use] of the {w}?",
    "How much does a {w} [cost|weigh]?",
    "When was the {w} [invented|built|found]?",
    "Which {w} is [best|better|the right one]?",
    "~Tell me [everything|more|a fact] about the {w}.",
    "~Explain the {w}.",
    "~Write a [song|speech|report|paper|review] about the {w}.",
    "~Describe a {w} and its {w2}.",
    "~[Draw|Paint] a {w}.",
    "~Recommend a {w}.",
    "Do you [like|know|have|want] a {w}?",
    "~Buy me a {w}.",
    "~Find me a {w}[ in {w2}|].",
    "How [is|are] {w} and {w2} related?",
    "~Compare {w} with {w2}.",
    "What happens [if|when] a {w} [meets|hits|eats] a {w2}?",
    "Can a {w} [fly|swim|think|break|burn]?",
    "Is [a|the] {w} [dangerous|expensive|real|legal|healthy|better than a {w2}]?",
    "~Make a {w}[ out of {w2}|].",
    "Why do people [like|hate|buy|need] {w}?",
    "~Give me [ideas|tips|advice] for {w}.",
    "What does [my|the|this] {w} [need|do|look like]?",
    "How many {w} are there in [the world|{w2}|a year]?",
    "~Solve the {w}.",
    "~[Show|Send|Get|Bring] me the {w}.",
    "What does {w} mean?",
    "What [is|are] {w}?",
    "What is [a|the] {w}?",
    "~Define {w}.",
    "[definition|meaning|etymology|origin] of {w}",
    "Where does the word {w} come from?",
    "~Tell me about {w}.",
    "What do you know about {w}?",
)
ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
# Lone words that mean something to other tasks.
MEANT = frozenset(COMMON) | frozenset(
    "status health private ready option menu example hello thanks please sorry joke story poem "
    "music money planet water computer program server internet token boring finish stop start "
    "next continue more exit quit close help about haiku triangle circle weather news "
    "encore congrats farewell greetings salutations enchanted charmed delighted heads tails "
    "dice nonsense".split()
)


def mash(draw: Draw) -> str:
    """Keys at random, next to each other, or repeated."""
    rng = draw.rng
    kind = rng.randrange(6)
    if kind == 0:
        return draw.slot(MARKS)
    if kind == 1:
        return rng.choice(LETTERS) * rng.randint(1, 8)
    if kind == 2:
        row = rng.choice(ROWS)
        at, count = rng.randrange(len(row) - 2), rng.randint(3, 6)
        return row[at : at + count] * rng.choice((1, 1, 2))
    if kind == 3:
        return "".join(rng.choice("asdfghjkl") for _ in range(rng.randint(4, 14)))
    if kind == 4:
        runs = ("".join(rng.choice(LETTERS) for _ in range(rng.randint(2, 8))) for _ in range(3))
        return " ".join(list(runs)[: rng.randint(1, 3)])
    key, text = rng.choice(LETTERS), ""
    for _ in range(rng.randint(4, 10)):
        text, key = text + key, NEIGHBOURS.get(key, rng.choice(LETTERS))
    return text


def free_word(draw: Draw) -> str:
    """A word that means nothing to other tasks."""
    while True:
        word = draw.slot(lexicon())
        if word not in MEANT and word not in _defined() and len(word) > 3:
            return word


@cache
def _defined() -> frozenset[str]:
    return frozenset(part for names, _ in DEFINITIONS for name in names for part in name.split())


def lone_word(draw: Draw) -> str:
    """A word that asks for nothing."""
    word = free_word(draw)
    word = draw.pick((word, word, word.capitalize(), word.upper()))
    return word + draw.pick(("", "", "", ".", "!", "..."))


def foreign(draw: Draw) -> str:
    """A sentence in another language."""
    text = draw.slot(FOREIGN)
    if draw.chance(0.3):
        text = text.lower()
    return text.rstrip(" ?.") if draw.chance(0.25) else text


def fragment(draw: Draw) -> str:
    """A statement, a piece of one, or a question about words at random."""
    templates = QUESTIONS if draw.chance(0.6) else STATEMENTS
    words = [free_word(draw) for _ in range(3)]
    return draw.say(templates, w=words[0], w2=words[1], w3=words[2])
