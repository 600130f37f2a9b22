"""Lists of numbers, words or letters put in another order."""

from training.tasks.numbers.arithmetic import draw_number
from training.tasks.problem import Problem
from training.tasks.text.layouts import (
    Kinds,
    exact,
    listed_words,
    one_kind,
    say_list,
    say_text,
    size,
)
from training.tasks.text.sentences import typed_sentence
from training.tasks.words import LETTERS
from training.wordings import Draw

# Requests that fit numbers and words, from the lowest or the first on.
ORDERS = (
    "~Sort[| these| this| this list| the list| the following| the following list]: {items}",
    "~Sort {items}[|.]",
    "~Put [these|the items|the following|this list|them all] in [order|the right order]: {items}",
    "~Put {items} in [order|the correct order|the right order|sorted order].",
    "~Order[| these| this list| the following]: {items}",
    "~Order {items}[|.]",
    "~Arrange[| these| this list| the following][| in order| in ascending order]: {items}",
    "{items} [sorted|in order|in ascending order|in sorted order][?|]",
    "{items}. [Sort|Order|Arrange] [them|these|the list|this][.|]",
    "{items} - [sort|sort it|sort this|order these|in order]",
    "[What is|What's|whats] the [right|correct|sorted|ascending] order of {items}?",
    "[sort|sorted]({items})",
    "[I have|Here is|This is] [a list|the list|my list]: {items}. [Sort it|Put it in order].",
    "[I need|I want|Give me|gimme] {items} [in order|sorted]",
    "[sorted|sorted list|ordered|in order|ascending]: {items}",
    "~[Rearrange|Reorder] [these|the items|this list|the following] so [they are|it is] in order: "
    "{items}",
    "~Give me a sorted [list|version] of {items}[.|]",
    "~[Organize|Organise] [these|this list|the following list|the list] in order: {items}",
    "[How|In what order] would {items} be sorted?",
    "~Return [this list|the list|these|the items] sorted: {items}",
    "[Unsorted|Input|List|Unsorted list]: {items}[\nSorted:|. Sort it.]",
    "what order do these go in: {items}",
    "~Sort [a|the] list with {items}[.|]",
    "~Sort [the|this] [list|array] {items}[.|]",
    "[Sorting|Sort task|Sorting task|Sort the array]: {items}",
)
NUMBERS_UP = (
    "~[Sort|Order|Arrange|Rank|Go] from [smallest to largest|lowest to highest|smallest to biggest|"
    "least to greatest|low to high]: {items}",
    "~Sort [ascending|low to high|in ascending order|smallest first] {items}[.|]",
    "~Sort [these|the|the following] [numbers|integers|values]: {items}",
    "~Sort the numbers {items}[.|]",
    "~Put [these|the|the following] numbers in [order|ascending order|increasing order]: {items}",
    "~[Sort|Order|Arrange|Put|Rank] [these|the|the following] numbers from [smallest to "
    "largest|lowest to highest|small to large|least to greatest|low to high|small to big]: {items}",
    "~[Sort|Order|Arrange|Put] {items} from [smallest to largest|lowest to highest|small to "
    "large|least to greatest|low to high|smallest to biggest][.|]",
    "~[Sort|Order|Arrange] {items} in [ascending|increasing|numerical] order[.|]",
    "~[Sort|Order|Arrange] in [ascending|increasing|numerical] order: {items}",
    "{items} [from|ordered from|sorted from] [smallest to largest|low to high|least to greatest]",
    "[What is|What's|whats] {items} [in ascending order|from smallest to largest|in numerical "
    "order]?",
    "~List [these numbers|the numbers|these] [from smallest to largest|in order|in increasing "
    "order]: {items}",
    "[Numbers|My numbers|The numbers]: {items}. [Sort them|Put them in order|Sort ascending].",
    "[Smallest to largest|Lowest to highest|Small to big|Ascending|Ascending order]: {items}",
    "~Sort the [array|list] {items} [ascending|in ascending order|in increasing order].",
    "[Can you order|How do I order] {items} [from the smallest|by size|by value]?",
    "{items}\n[Sort these numbers.|Put these numbers in order.|Sort from small to large.]",
    "~Write [these|the] numbers in [order|order of size|ascending order]: {items}",
    "~Start with the [smallest|lowest] and sort: {items}",
    "[number sort|sort nums|order the nums|sort numbers]: {items}",
    "~Rank {items} from [lowest to highest|smallest to largest].",
    "~Sort by [value|size]: {items}",
)
NUMBERS_DOWN = (
    "~[Sort|Order|Arrange|Rank|Go] from [largest to smallest|highest to lowest|biggest to smallest|"
    "greatest to least|high to low]: {items}",
    "~Sort [descending|high to low|in descending order|largest first] {items}[.|]",
    "~[Sort|Order|Arrange|Put|Rank] [these|the|the following] numbers from [largest to "
    "smallest|highest to lowest|large to small|greatest to least|high to low|big to small]: "
    "{items}",
    "~[Sort|Order|Arrange|Put] {items} from [largest to smallest|highest to lowest|large to "
    "small|greatest to least|high to low|biggest to smallest][.|]",
    "~[Sort|Order|Arrange] {items} in [descending|decreasing] order[.|]",
    "~[Sort|Order|Arrange|Put] [these |the |]numbers in [descending|decreasing] order: {items}",
    "~[Sort|Order|Arrange] [descending|in descending order|in decreasing order]: {items}",
    "{items} [from largest to smallest|high to low|in descending order|descending]",
    "[What is|What's|whats] {items} [in descending order|from largest to smallest]?",
    "~List [these numbers|the numbers|these] [from largest to smallest|biggest first|in descending "
    "order]: {items}",
    "[Numbers|My numbers|The numbers]: {items}. Sort them [descending|from high to low].",
    "[Largest to smallest|Highest to lowest|Big to small|Descending|Descending order]: {items}",
    "~Sort the [array|list] {items} [descending|in descending order|in decreasing order].",
    "~Sort {items}[, | with the | - ][biggest|largest|highest] [first|number first].",
    "{items}\n[Sort descending.|Sort from large to small.|Put these in descending order.]",
    "~Write [these|the] numbers in [descending order|order, the largest first]: {items}",
    "~Start with the [largest|highest|biggest] and sort: {items}",
    "~Sort [these numbers |]in reverse: {items}",
    "~Rank {items} from [highest to lowest|largest to smallest|best to worst score].",
    "sorted({items}, reverse=True)",
)
WORDS_UP = (
    "~Sort [these|the|the following] [words|words|names|items|strings|terms|things]: {items}",
    "~Sort [these|the|my] [names|items|terms|things] [alphabetically|in alphabetical order]: "
    "{items}",
    "~Sort [these|the|the following] words [alphabetically|in alphabetical order|by alphabet]: "
    "{items}",
    "~[Sort|Order|Arrange] {items} [alphabetically|in alphabetical order|from A to Z][.|]",
    "~Put [these|the] words in [alphabetical order|order|ABC order|alphabetic order]: {items}",
    "~[Alphabetize|Alphabetise|Alphabetize these words|Alphabetize this list]: {items}",
    "~[Alphabetize|Alphabetise] {items}[.|]",
    "~Put {items} in [alphabetical|alphabetic|ABC|dictionary] order[.|]",
    "~[Sort|Order|Arrange] [alphabetically|in alphabetical order|from A to Z|A-Z]: {items}",
    "{items} [alphabetically|in alphabetical order|from A to Z|in ABC order][?|]",
    "[What is|What's|whats] the alphabetical order of {items}?",
    "[Which order|What order] do {items} come in a dictionary?",
    "[Words|My words|The words]: {items}. [Sort them|Alphabetize them|Order them from A to Z].",
    "[Alphabetical order|Alphabetical|A to Z|A-Z|ABC order]: {items}",
    "~List [these words|the words|these] [alphabetically|in alphabetical order|from A to Z]: "
    "{items}",
    "{items}\n[Sort these words.|Sort alphabetically.|Put these in alphabetical order.]",
    "~Arrange [these|the|the following] words [alphabetically|in order|as in a dictionary]: "
    "{items}",
    "How do you [alphabetize|sort alphabetically] {items}?",
    "~Sort [the|a] list of [words|strings] [alphabetically|from A to Z]: {items}",
    "[sort words|word sort|sort abc|sort by name|sort strings]: {items}",
    "~Write [these|the] words in [alphabetical order|the order of the alphabet]: {items}",
    "~[Organize|Organise] [these|the] words [alphabetically|by first letter]: {items}",
)
WORDS_DOWN = (
    "~[Sort|Order|Arrange] [these|the|the following] words in reverse alphabetical order: {items}",
    "~[Sort|Order|Arrange] {items} from Z to A[.|]",
    "~Put {items} in reverse alphabetical order[.|]",
    "~[Sort|Order|Arrange|List] [these words |the words |]from Z to A: {items}",
    "[Reverse alphabetical order|Reverse alphabetical|Z to A|Z-A]: {items}",
    "{items} [in reverse alphabetical order|from Z to A|alphabetically reversed]",
    "~Sort [these words |]alphabetically[,| but] in [reverse|descending order]: {items}",
    "~Sort [the |these |]words [descending|in descending order|backwards from Z]: {items}",
    "[What is|What's|whats] the reverse alphabetical order of {items}?",
    "[Words|My words]: {items}. Sort them [from Z to A|in reverse alphabetical order].",
    "{items}\n[Sort from Z to A.|Sort in reverse alphabetical order.]",
    "~Alphabetize [in reverse|backwards|from Z to A]: {items}",
)
BY_LENGTH = (
    "~Sort [these words |]by length: {items}",
    "~[Sort|Order|Arrange] {items} by [length|number of letters][.|]",
    "~[Sort|Order|Arrange|Put] [these |the |]words from shortest to longest: {items}",
    "~[Sort|Order|Put] {items} from [shortest to longest|short to long][.|]",
    "{items} [sorted by length|from shortest to longest|by length]",
    "~Order [these |the |]words by [how many letters they have|their length|word length]: {items}",
    "[Shortest to longest|By length|Sorted by length]: {items}",
    "[Words|List]: {items}. Sort them by [length|number of letters].",
    "~List [these words |]from the shortest to the longest: {items}",
    "{items}\n[Sort by length.|Sort these words by length.]",
    "~Put [these words |the words |]in order of length: {items}",
    "~Rank [these words |]by length: {items}",
)
FIRST_OF = (
    "[Which|What|Which word|Which one] comes {end} [in the alphabet|alphabetically|in alphabetical "
    "order|in a dictionary|by alphabet]: {items}",
    "[Which|Which word|Which one] of {items} comes {end} [in the alphabet|alphabetically|in a "
    "dictionary]?",
    "[Which|What] is {end} [alphabetically|in alphabetical order|in the alphabet]: {items}",
    "[Which|What] is {end} [alphabetically|in alphabetical order|in ABC order], {items}?",
    "~[Find|Give me|Tell me|Name] the word that comes {end} [alphabetically|in the alphabet]: "
    "{items}",
    "~[Find|Give me|Tell me] the {end} word [alphabetically|in alphabetical order]: {items}",
    "In the alphabet, which comes {end}: {items}",
    "In a dictionary, which of {items} [is|comes] {end}?",
    "{items}. [Which|What] comes {end} [alphabetically|in the alphabet|in a dictionary]?",
    "{items}\n[Which is {end} in alphabetical order?|Which comes {end} in the alphabet?]",
    "[{end} alphabetically|Alphabetically {end}|{end} in the alphabet]: {items}",
    "Alphabetically, which word is {end} [of|among|in] {items}?",
)
REVERSES = (
    "~Reverse[| this| this list| the list| these| the following| the following list]: {items}",
    "~Reverse {items}[|.]",
    "~Reverse the order of [these words|these|the items|this list|the list|the following]: {items}",
    "~[Flip|Invert|Turn around] [this list|the list|the order|these|the order of these]: {items}",
    "~Write [these|this list|the list|these items|the following] [backwards|in reverse|in reverse "
    "order|from last to first|from the end]: {items}",
    "{items} [backwards|in reverse|reversed|in reverse order|from last to first][?|]",
    "{items}. [Reverse|Flip|Turn around] [them|the list|this|the order][.|]",
    "[What is|What's|whats] {items} [backwards|in reverse|reversed|in reverse order]?",
    "[What is|What's|whats] the reverse [order |]of {items}?",
    "~Put [these|this list|the items] in [reverse|reversed|backward|the opposite] order: {items}",
    "~Put {items} in [reverse|the opposite|backward] order[.|]",
    "[reverse|reversed]({items})",
    "[Reversed|Reverse order|Backwards|Opposite order|In reverse|Reversed list]: {items}",
    "~Say [these|this|the list] [backwards|in reverse|in reverse order]: {items}",
    "[Here is|I have|This is] [a list|my list]: {items}. Reverse it[.|]",
    "~Give me {items} in reverse[ order|].",
    "~List [these|them|the items] from last to first: {items}",
    "~Read [this list|the list|these] from [right to left|the end|back to front]: {items}",
    "[If|When] I reverse {items}, what do I get?",
    "[List|Input|Items]: {items}[\nReversed:|. Reverse the list.]",
    "~Repeat [these|this list] in reverse order: {items}",
    "[I need|I want|Give me|gimme] {items} reversed",
)
REVERSED_SENTENCES = (
    "~Reverse the [words|word order|order of the words] [in|of] [this sentence|the "
    "sentence|this text]: {text}",
    "~Reverse the words in {text}[.|]",
    "~Reverse the word order: {text}",
    "~Reverse the order of the words: {text}",
    "~Write [this sentence|the sentence] with the words in reverse[ order|]: {text}",
    "~Write the words of {text} in reverse order[.|]",
    "~Put the words of this [sentence|text] in [reverse|the opposite|backward] order: {text}",
    "{text} [with the words in reverse order|with its words reversed]",
    "~[Flip|Invert] the [word order|order of the words|words] of [this|the] sentence: {text}",
    "[Sentence|Text]: {text}\n[Reverse the words.|Reverse the word order.]",
    "~Say [this sentence|this|it] word by word from the end: {text}",
    "[What is|What's|whats] {text} with the words [reversed|in reverse order]?",
    "~Start with the last word and go back to the first: {text}",
)
LONGEST = 6


def _numbers(draw: Draw) -> list[str]:
    count = size(draw, 3, 7)
    kind = draw.rng.random()
    if kind < 0.06:
        return [str(draw.rng.randint(-20, 20)) for _ in range(count)]
    if kind < 0.1:
        return [f"{draw.rng.randint(0, 9)}.{draw.rng.randint(1, 9)}" for _ in range(min(count, 4))]
    if kind < 0.4:
        return [str(draw.rng.randint(0, 9 if kind < 0.25 else 20)) for _ in range(count)]
    return [str(draw_number(draw.rng)) for _ in range(count)]


def sort_numbers(draw: Draw) -> Problem:
    """Sort three to seven numbers, up or down."""
    numbers = _numbers(draw)
    ordered = sorted(numbers, key=float)
    templates = draw.pick((ORDERS, NUMBERS_UP, NUMBERS_UP, NUMBERS_DOWN))
    key = ":".join(ordered)
    if templates is NUMBERS_DOWN:
        ordered.reverse()
    return exact("sort", key, say_list(draw, templates, numbers), ", ".join(ordered))


def sort_words(draw: Draw) -> Problem:
    """Sort three to six words by the alphabet, either way, or by length; or name the first."""
    return first_in_alphabet(draw) if draw.chance(0.1) else _sort_words(draw)


def _sort_words(draw: Draw) -> Problem:
    words = listed_words(draw, size(draw, 3, 6))
    templates = draw.pick((*[ORDERS, WORDS_UP, WORDS_UP] * 4, WORDS_DOWN, WORDS_DOWN, BY_LENGTH))
    if draw.chance(0.08):
        words = draw.rng.sample(LETTERS, len(words))
        templates = draw.pick((ORDERS, WORDS_UP))
    if templates is BY_LENGTH:
        lengths = {len(word): word for word in words}
        while not 3 <= len(lengths) <= LONGEST:
            lengths = {len(word): word for word in listed_words(draw, 4)}
        words = list(lengths.values())
    request = say_list(draw, templates, words)
    if words[0] in LETTERS:
        request = request.replace(" words", " letters")
    ordered = sorted(words, key=len if templates is BY_LENGTH else None)
    if templates is WORDS_DOWN:
        ordered.reverse()
    key = ":".join(sorted(words))
    return exact("wsort", key, request, ", ".join(ordered))


def first_in_alphabet(draw: Draw) -> Problem:
    """The word of two to four that an alphabetical list begins or ends with."""
    words = listed_words(draw, size(draw, 2, 4))
    end = "first" if draw.chance(0.75) else "last"
    answer = min(words) if end == "first" else max(words)
    key = f"{end}:{':'.join(sorted(words))}"
    return exact("wsort", key, say_list(draw, FIRST_OF, words, end=end), answer)


def _reverse_list(draw: Draw) -> Problem:
    kind = draw.rng.random()
    if kind < 0.6:
        items = listed_words(draw, size(draw, 3, 7))
    elif kind < 0.85:
        start = draw.rng.randint(0, 9)
        count = size(draw, 3, 7)
        items = [str(draw_number(draw.rng)) for _ in range(count)]
        if draw.chance(0.4):
            items = [str(number) for number in range(start, start + count)]
    else:
        items = [draw.pick(LETTERS) for _ in range(size(draw, 3, 8))]
    request = say_list(draw, REVERSES, items)
    if kind >= 0.6:
        request = request.replace(" words", " numbers" if kind < 0.85 else " letters")
    key = min(":".join(items), ":".join(items[::-1]))
    return exact("rev", key, request, ", ".join(items[::-1]))


def _reverse_sentence(draw: Draw) -> Problem:
    text = typed_sentence(draw).rstrip(".?!").replace(",", "")
    words = text.split()
    key = min(" ".join(words), " ".join(words[::-1]))
    request = say_text(draw, REVERSED_SENTENCES, text)
    return exact("rev", key, request, " ".join(words[::-1]))


REVERSALS: Kinds = ((_reverse_list, 4), (_reverse_sentence, 1))


def reverse(draw: Draw) -> Problem:
    """Reverse a list of words, numbers or letters, or the words of a sentence."""
    return one_kind(draw, REVERSALS)
