"""Closed sets of words that go together: synonyms, rhymes, abbreviations; and sample sentences."""

from training.tasks.facts.closed import closed, mentioned, pairs, table
from training.tasks.problem import Problem, ask
from training.tasks.text.layouts import one_kind
from training.wordings import Draw

SYNONYMS = pairs(
    "big large, happy glad, fast quick, smart clever, small little, start begin, sad unhappy, "
    "angry mad, hard difficult, pretty beautiful, rich wealthy, sick ill, end finish, shut close, "
    "buy purchase, help assist, easy simple, tired sleepy, funny amusing, brave courageous, quiet "
    "silent, answer reply, choose select, gift present, house home, kid child, look see, speak "
    "talk, right correct, wrong incorrect, strange odd, huge enormous, tiny minute, nice kind, "
    "scared afraid, jump leap, strong powerful, car automobile, error mistake, job work, stone "
    "rock, street road, great wonderful, cold chilly, yell shout, important essential, good fine, "
    "bad poor"
)
RHYMES = pairs(
    "cat hat, dog fog, house mouse, tree bee, moon spoon, star car, night light, day play, cake "
    "lake, ring king, ball wall, sun fun, rain train, boat goat, fish dish, bed red, book cook, "
    "sea tea, love dove, cold gold, dream cream, snow slow, rose nose, bear chair, box fox, hen "
    "pen, bell well, hand sand, time lime, blue true, sky fly, mask task, song long, heart part, "
    "table able, door floor, bread head, green queen, word bird, pie tie"
)
for _one, _other in list(RHYMES.items()):
    RHYMES.setdefault(_other, _one)
for _one, _other in list(SYNONYMS.items()):
    if _other not in ("minute", "see", "fine", "poor", "kind", "mad", "present", "close"):
        SYNONYMS.setdefault(_other, _one)
ABBREVIATIONS = {
    row[0]: row[1]
    for row in table(
        """
        CPU|central processing unit
        GPU|graphics processing unit
        API|application programming interface
        JSON|JavaScript Object Notation
        SQL|Structured Query Language
        HTML|HyperText Markup Language
        HTTP|HyperText Transfer Protocol
        URL|uniform resource locator
        LLM|large language model
        LM|language model
        AI|artificial intelligence
        ML|machine learning
        RAM|random access memory
        USB|universal serial bus
        PDF|portable document format
        CSV|comma-separated values
        USA|United States of America
        UK|United Kingdom
        EU|European Union
        UN|United Nations
        WWW|World Wide Web
        FAQ|frequently asked questions
        ASAP|as soon as possible
        GPS|global positioning system
        DNA|deoxyribonucleic acid
        TV|television
        DIY|do it yourself
        BTW|by the way
        FYI|for your information
        KV|key and value
        OS|operating system
        PC|personal computer
        """
    )
}
SYNONYM = (
    "[What is|What's|whats] a synonym [of|for] {word}?",
    "~[Give|Tell|Show] me a synonym [of|for] {word}.",
    "~[Name|Find|Say|Write] a synonym [of|for] {word}.",
    "synonym [of|for] {word}[?|]",
    "[Another|A different|Other] word for {word}[?|]",
    "[What is|What's] another word for {word}?",
    "[Which|What] word means the same as {word}?",
    "[Synonym|Similar word]: {word}",
    "{word} [synonym|another word][?|]",
    "[I need|gimme|I want] [a synonym|another word] for {word}",
    "[Do you know|Can you tell me] [a synonym|another word] for {word}?",
    "A word [with the same meaning as|similar to|like] {word}[?|]",
    "How else can I say {word}?",
    "~Say {word} [in another word|with another word|differently].",
    "The word is {word}. [Give a synonym.|A synonym?|What is a synonym?]",
    "~Replace {word} [with|by] [a synonym|another word].",
    "[Synonyms|List synonyms|Similar words] [of|for] {word}[?|]",
    "{word} - [other word|synonym|same meaning][?|]",
    "[I used|I wrote] {word} too often. What else can I write?",
    "{word} means the same as[...| ___| what?|]",
)
RHYME = (
    "[What|Which word] rhymes with {word}?",
    "~[Give|Tell|Show] me a [word that rhymes|rhyme] with {word}.",
    "~[Name|Find|Say|Write] a [word that rhymes with|rhyme for] {word}.",
    "[rhyme|rhymes] [for|with] {word}[?|]",
    "~[Give|Tell] me a rhyme for {word}.",
    "[What is|What's] a [rhyme for|word that rhymes with] {word}?",
    "{word} rhymes with[...| ___| what?|]",
    "[Rhyme|Find a rhyme]: {word}",
    "{word} rhyme[?|]",
    "[I need|gimme|I want] [a rhyme for|a word that rhymes with] {word}",
    "[Do you know|Can you think of] a [rhyme for|word that rhymes with] {word}?",
    "[A word that rhymes|Something that rhymes] with {word}[?|]",
    "The word is {word}. [What rhymes with it?|A rhyme?|Find a rhyme.]",
    "~Rhyme {word}.",
    "~Find me something that rhymes with {word}.",
    "[Which|What] is a good rhyme for {word}?",
    "Roses are red, and what rhymes with {word}?",
    "words that rhyme with {word}",
)
ABBREVIATION = (
    "What does {short} stand for?",
    "[What is|What's] {short} [short for|an abbreviation of]?",
    "{short} [stands for|is short for][...| ___| what?|]",
    "~[Expand|Spell out|Write out] {short}.",
    "[What is|What's] the [full form|long form|full name] of {short}?",
    "[Full form|Long form|Abbreviation] of {short}[?|]",
    "[Abbreviation|Acronym]: {short}[?|]",
    "~[Tell me|Explain] what {short} stands for.",
    "[Do you know|Can you tell me] what {short} stands for?",
    "{short} [full form|abbreviation|long form][?|]",
    "What do the letters {short} stand for?",
    "The abbreviation {short}[: what does it stand for?| is short for what?]",
    "[I saw|I read] {short} somewhere. What does it stand for?",
    "{short} = [?|...|what?]",
    "What is {short} in full?",
    "[Quiz|Trivia]: what does {short} stand for?",
    "~Write {short} in full.",
)
SENTENCE = (
    "~[Write|Make|Form|Give me|Say] a sentence with [the word |]{word}.",
    "~[Use|Put] [the word |]{word} in a sentence.",
    "~Write a sentence [using|that contains|that has|containing] [the word |]{word}.",
    "[A sentence|Sentence|Example sentence] [with|using] [the word |]{word}[.|?|]",
    "Can you use [the word |]{word} in a sentence?",
    "[How do I|How can I] use [the word |]{word} in a sentence?",
    "{word} in a sentence[?|]",
    "[I need|I want|gimme] a sentence with [the word |]{word}",
    "~Give me an example sentence [for|with] [the word |]{word}.",
    "~[Build|Create|Invent] a [|short ]sentence with [the word |]{word}.",
    "~Write [one|a short|a simple] sentence with [the word |]{word} in it.",
    "How does [the word |]{word} look in a sentence?",
    "sentence: {word}",
    "Any sentence with [the word |]{word}[.| will do.|?]",
    "The word is {word}. [Use it in a sentence.|Make a sentence.|A sentence, please.]",
)


def synonym(draw: Draw) -> Problem:
    """A word that means the same."""
    word, other = draw.pick(list(SYNONYMS.items()))
    request = draw.say(SYNONYM, word=mentioned(draw, word))
    return closed("words", f"synonym:{word}", request, f"A synonym of {word} is {other}.", other)


def rhyme(draw: Draw) -> Problem:
    """A word that rhymes."""
    word, other = draw.pick(list(RHYMES.items()))
    request = draw.say(RHYME, word=mentioned(draw, word))
    return closed("words", f"rhyme:{word}", request, f"{word} rhymes with {other}.", other)


def abbreviation(draw: Draw) -> Problem:
    """The words that an abbreviation stands for."""
    short, full = draw.pick(list(ABBREVIATIONS.items()))
    request = draw.say(ABBREVIATION, short=short.lower() if draw.chance(0.25) else short)
    return closed("words", f"short:{short}", request, f"{short} stands for {full}.", full)


def sentence(draw: Draw) -> Problem:
    """A sentence with a given word."""
    word = draw.word()
    request = draw.say(SENTENCE, word=mentioned(draw, word))
    return Problem("words", (f"sentence:{word}",), ask(request), f'I like the word "{word}".')


KINDS = ((synonym, 3.0), (rhyme, 2.0), (abbreviation, 1.5), (sentence, 1.0))


def words_alike(draw: Draw) -> Problem:
    """A synonym, a rhyme, an abbreviation, or a sentence with a word."""
    return one_kind(draw, KINDS)
