"""Words, letters and items counted: each is numbered off before the total is told."""

from collections.abc import Sequence

from training.tasks.problem import Problem
from training.tasks.text.layouts import (
    Kinds,
    listed_words,
    one_kind,
    quoted,
    say_list,
    say_text,
    size,
    worked,
)
from training.tasks.text.sentences import sentence_words, typed_sentence
from training.tasks.words import ANIMALS, COLORS, FRUITS, LETTERS
from training.wordings import Draw

VOWELS = "aeiou"
# Words whose letters newcomers have counted.
FAVORITES = (
    *("strawberry", "banana", "mississippi", "raspberry", "blueberry", "apple", "hello", "book"),
    *("coffee", "letter", "balloon", "committee", "success", "tomato", "potato", "butter", "pizza"),
    *("pepper", "cheese", "school", "wood", "bookkeeper", "parallel", "address", "assess", "level"),
    *("elephant", "giraffe", "kangaroo", "cucumber", "pineapple", "cinnamon", "zoo", "puzzle"),
    *("programming", "computer", "language", "diffusion", "model", "python", "garden", "garlic"),
)
WORD_COUNTS = (
    "How many times does [|the word ]{wanted} [appear|occur|come up|show up|come] in [|this: |the "
    "list: |the text: ]{items}?",
    "How [often|many times] is [|the word ]{wanted} in [|the list ]{items}?",
    "How many times is {wanted} [listed|there|repeated] in: {items}",
    "~Count [|the word |every |all ]{wanted} in: {items}",
    "~Count [how often|the number of times|how many times] {wanted} [appears|occurs] in: {items}",
    "~Count [|the word ]{wanted} in {items}[.|]",
    "~Count [the|all] [|occurrences of ]{wanted}[|s]: {items}",
    "In {items}, how [many times|often] [is there|do you see|does it say] {wanted}?",
    "{items} - how many times {wanted}?",
    "{items}. How [often|many times] does {wanted} [appear|occur|show up][ there|]?",
    "{items}\n[How many times is {wanted} in there?|Count {wanted}.]",
    "[What is|What's|whats] the [count|frequency|number] of {wanted} in: {items}",
    "[Number of times|Count of|Frequency of|Occurrences of] {wanted} in: {items}",
    "~[Tell me|Find|Give me|Say|Find out] how [often|many times] {wanted} [is|appears|occurs] in: "
    "{items}",
    "[Text|Words|List|Input]: {items}. How many times is {wanted} in [it|there]?",
    "How many {wanted} are [there in|in|there in this list]: {items}",
    "[count|occurrences|word count]({wanted}, {items})",
    "[I see|Here is|There is] {items}. How many {wanted}?",
    "[Count|Counting|Word to count]: {wanted}\nList: {items}",
    "~Look at [this|the list] {items} and count {wanted}.",
    "With {wanted} as the word to count, how many do you find in {items}?",
)
LETTER_COUNTS = (
    "How many {letter}'s [are|are there] in [|the word ]{word}?",
    "How many {letter}s [are|are there] in [|the word ]{word}?",
    "How many {letter} [are|are there|is] in [|the word ]{word}?",
    "How many times does [|the letter ]{letter} [appear|occur|come up|show up] in [|the word ]"
    "{word}?",
    "How [often|many times] is [|the letter ]{letter} in [|the word ]{word}?",
    "~Count [|the letter |the number of |all the ]{letter} in [|the word ]{word}.",
    "~Count the {letter}'s in [|the word ]{word}.",
    "[Number of|Count of] {letter}[|'s|s] in {word}",
    "[What is|What's|whats] the [number|count] of {letter}[|'s] in [|the word ]{word}?",
    "~[Tell me|Say|Find|Find out] how many {letter}'s [are in|there are in] [|the word ]{word}.",
    "[In|For] [|the word ]{word}[,|] how many {letter}[|'s|s] are there?",
    "{word}: how many {letter}[|'s|s]?",
    "How many of the letters in {word} are {letter}?",
    "[Count|Letter count|Letters]: {letter} in {word}",
    "The word {word} has how many {letter}[|'s]?",
    "[Word|The word]: {word}\n[Letter|The letter]: {letter}\n[Count?|How many?|How often is it "
    "in?]",
    "[Does {word} have one {letter} or more? Count them|how many {letter} in {word}].",
    "How many letters {letter} [are in|does one find in|has] {word}?",
    "{word}.count({letter})",
    "[When you spell {word}|If you spell {word}], how many {letter}'s [do you write|are there]?",
)
LENGTHS = (
    "How many letters [are|are there] in [|the word ]{word}?",
    "How many [letters|characters] does [|the word ]{word} have?",
    "How many [letters|characters] [has|is in|in] [|the word ]{word}?",
    "How long is [|the word ]{word}?",
    "[What is|What's|whats] the length of [|the word |the string ]{word}?",
    "~Count the [letters|characters] [in|of] [|the word ]{word}.",
    "~Count the number of [letters|characters] in [|the word ]{word}.",
    "[Number of letters|Letter count|Length|Word length|Letters in word]: {word}",
    "[Length|Number of letters|Letter count|The length] of {word}[?|]",
    "{word}: how [long|many letters]?",
    "len({word})",
    "~[Tell me|Find|Say|Give me] [the length of|how long is|the number of letters in] {word}.",
    "[In|For] the word {word}, how many letters are there?",
    "{word} has how many [letters|characters]?",
    "How many [letters|characters] do you need to [spell|write] {word}?",
    "[Count letters|Count the letters]: {word}",
    "{word} - [letter count|length|number of letters][?|]",
    "Of how many letters [is|does] the word {word} [made|consist]?",
)
VOWEL_COUNTS = (
    "How many vowels [are|are there] in [|the word ]{word}?",
    "How many vowels does [|the word ]{word} have?",
    "~Count the vowels [in|of] [|the word ]{word}.",
    "~Count the number of vowels in [|the word ]{word}.",
    "[Number of vowels|Vowel count|Vowels|Count vowels]: {word}",
    "[Number of vowels|Vowel count|The number of vowels] in {word}[?|]",
    "{word}: how many vowels?",
    "{word} has how many vowels?",
    "~[Tell me|Find|Say] how many vowels [are in|there are in] {word}.",
    "[What is|What's|whats] the number of vowels in {word}?",
    "[In|For] the word {word}[,|] how many vowels are there?",
    "[count_vowels|countVowels|vowels]({word})",
    "How many of the letters in {word} are vowels?",
)
ITEM_COUNTS = (
    "How many [items|things|elements|entries|words] are [in this list|there|in the list|here]: "
    "{items}",
    "How many [items|elements|entries|words] are [in|there in] {items}?",
    "How many [items|elements|words] does [this list|the list] have: {items}",
    "~Count [these|the items|the words|these items|the elements|the following|them]: {items}",
    "~Count the [items|words|elements|things] in [this|the|my] list: {items}",
    "~Count the [items|words|elements] in {items}[.|]",
    "{items}. How many [are there|items is that|things are that|do I have|words is that]?",
    "{items}\n[How many?|How many are there?|Count them.]",
    "[What is|What's|whats] the [length|size] of [the|this] list: {items}",
    "[Number of items|Count|Item count|List length|How many]: {items}",
    "[len|length|count]({items})",
    "~[Tell me|Say|Find out] how many [items|things|words] there are: {items}",
    "My [list|shopping list] is {items}. How many [items|things] are [on it|that]?",
    "[I have|I bought|I see|There are] {items}. How many [things|items] [is that|are that]?",
    "How [long|big] is [this|the|my] list: {items}",
    "[Give me the|The] [number|count] of [items|elements|words] in {items}[.|]",
    "With {items}, how many [items|things] [are there|do I have]?",
)
TEXT_LENGTHS = (
    "How many words [are|are there] in [|this sentence: |the sentence |this text: ]{text}",
    "How many words does [this sentence|the sentence|this text] have: {text}",
    "How many words does {text} have?",
    "~Count the [|number of ]words [in|of] [this|the|the following] [sentence|text]: {text}",
    "~Count the words[| in this]: {text}",
    "~Count the words in {text}[.|]",
    "[Number of words|Word count|Words|Count words|Wordcount]: {text}",
    "[Number of words|Word count] in {text}[?|]",
    "{text} - how many words[| is that]?",
    "{text}\n[How many words is that?|Count the words.|How many words?]",
    "[What is|What's|whats] the [word count|number of words] of [|this sentence: |the sentence "
    "]{text}",
    "~[Tell me|Find|Say] how many words [there are in|are in] [this|the sentence]: {text}",
    "How long is [this|this sentence|the sentence] in words: {text}",
    "[Sentence|Text]: {text}\n[Word count?|How many words?]",
    "[I wrote|Here is a sentence]: {text}\nHow many words are [there|in it]?",
)


def number_off(items: Sequence[str], wanted: str) -> str:
    """The items with numbers, from one, in place of the wanted ones."""
    return " ".join(
        str(items[: i + 1].count(wanted)) if item == wanted else item
        for i, item in enumerate(items)
    )


def numbered(letters: Sequence[str]) -> str:
    """The letters, each after its number."""
    return " ".join(f"{i} {letter}" for i, letter in enumerate(letters, 1))


def spaced(word: str) -> str:
    """The letters of a word, spelled out; a space becomes a `_`."""
    return " ".join(word.replace(" ", "_"))


def plural(number: int, noun: str) -> str:
    """A number with its noun."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def spelled_word(draw: Draw) -> str:
    """A word whose letters are asked about."""
    return draw.slot(FAVORITES) if draw.chance(0.3) else draw.word()


def count_word(draw: Draw) -> Problem:
    """Count a word in a list of four to ten, or in a sentence."""
    if draw.chance(0.15):
        items = sentence_words(draw)
        wanted = draw.pick(items)
        if draw.chance(0.6):
            items.insert(draw.rng.randrange(len(items)), wanted)
        shown = [" ".join(items)]
    else:
        kind = draw.pick((ANIMALS, ANIMALS, FRUITS, COLORS, None))
        choices = draw.distinct(3) if kind is None else draw.slots(kind, 3)
        choices = choices[: draw.pick((2, 3, 3))]
        items = [draw.pick(choices) for _ in range(size(draw, 4, 10))]
        wanted = draw.pick(choices)
        shown = [" ".join(items)] if draw.chance(0.5) else items
    request = say_list(draw, WORD_COUNTS, shown, wanted=quoted(draw, wanted))
    result = f"The word {wanted} appears {plural(items.count(wanted), 'time')}."
    key = f"{wanted}:{' '.join(items)}"
    return worked("count", key, request, number_off(items, wanted), result)


def _count_letter(draw: Draw) -> Problem:
    if draw.chance(0.85):
        word = spelled_word(draw)
        wanted = draw.pick([*word, *word, draw.pick(LETTERS)])
        shown = quoted(draw, word)
        if draw.chance(0.1):
            shown = word.upper()
    else:
        word = "".join(draw.pick(LETTERS[:3]) for _ in range(draw.rng.randint(4, 9)))
        wanted = draw.pick("abc")
        shown = draw.pick((word, " ".join(word)))
    letter = wanted.upper() if draw.chance(0.12) else wanted
    if draw.chance(0.15):
        letter = f"{draw.pick(chr(34) + chr(39))}{letter}"
        letter += letter[0]
    request = draw.say(LETTER_COUNTS, word=shown, letter=letter)
    result = f"The letter {wanted} appears {plural(word.count(wanted), 'time')}."
    return worked("count", f"{wanted}:{' '.join(word)}", request, number_off(word, wanted), result)


def _count_letters(draw: Draw) -> Problem:
    word = draw.name() if draw.chance(0.1) else spelled_word(draw)
    request = draw.say(LENGTHS, word=quoted(draw, word))
    result = f"The word {word} has {plural(len(word), 'letter')}."
    return worked("count", f"letters:{word}", request, numbered(word), result)


def _count_vowels(draw: Draw) -> Problem:
    word = spelled_word(draw)
    request = draw.say(VOWEL_COUNTS, word=quoted(draw, word))
    counted, total = [], 0
    for letter in word:
        total += letter in VOWELS
        counted.append(str(total) if letter in VOWELS else letter)
    result = f"The word {word} has {plural(total, 'vowel')}."
    return worked("count", f"vowels:{word}", request, " ".join(counted), result)


def _count_items(draw: Draw) -> Problem:
    if draw.chance(0.25):
        items = [str(draw.rng.randint(0, 99)) for _ in range(size(draw, 2, 8))]
    else:
        items = listed_words(draw, size(draw, 2, 8))
    request = say_list(draw, ITEM_COUNTS, items)
    if items[0].isdigit():
        request = request.replace(" words ", " numbers ")
    noun = "number" if items[0].isdigit() else "word" if " words" in request.lower() else "item"
    work = ", ".join(f"{i}: {item}" for i, item in enumerate(items, 1))
    result = f"There are {plural(len(items), noun)}."
    return worked("count", f"items:{':'.join(items)}", request, work, result)


def _count_words(draw: Draw) -> Problem:
    text = typed_sentence(draw)
    request = say_text(draw, TEXT_LENGTHS, text)
    words = "".join(letter for letter in text if letter not in ".,!?").split()
    work = ", ".join(f"{i}: {word}" for i, word in enumerate(words, 1))
    result = f"There are {plural(len(words), 'word')}."
    return worked("count", f"words:{' '.join(words)}", request, work, result)


LETTER_KINDS: Kinds = ((_count_letter, 5), (_count_letters, 3), (_count_vowels, 1.5))
TOTALS: Kinds = ((_count_items, 1), (_count_words, 1))


def count_letters(draw: Draw) -> Problem:
    """Count a letter, all letters or the vowels of a word."""
    return one_kind(draw, LETTER_KINDS)


def count_items(draw: Draw) -> Problem:
    """Count the items of a list or the words of a sentence."""
    return one_kind(draw, TOTALS)
