"""Letters of one word, and of the alphabet."""

from training.tasks.problem import Problem, ask
from training.tasks.text.alphabet import alphabet
from training.tasks.text.counting import numbered, spaced, spelled_word
from training.tasks.text.layouts import (
    Kinds,
    cardinal,
    exact,
    one_kind,
    ordinal,
    quoted,
    set_off,
    size,
    worked,
)
from training.tasks.words import LETTERS
from training.wordings import Draw

PALINDROMES = (
    "level racecar noon civic radar madam kayak refer rotor mom dad pop eye deed peep toot wow pup "
    "eve did nun tenet solos stats rotator sagas sees anna bob hannah otto ada abba minim redder "
    "reviver deified gag bib dud tot gig ewe"
).split()
SPELLINGS = (
    "~Spell {word}[.|]",
    "~Spell [|out ]the word {word}[.|]",
    "~Spell out {word}[.|]",
    "How [do you|do I|would you|to] spell {word}?",
    "How is {word} [spelled|spelt|written]?",
    "[Spell|Spelling|Spelling of|The spelling of|Letters of|Letters in] {word}[?|]",
    "[Spell|Spelling|Letters|Letter by letter]: {word}",
    "~Split [|the word ]{word} into [|its |single ]letters[.|]",
    "~[Break|Divide|Separate] [|the word ]{word} into letters[.|]",
    "~[Write|Say|Give me] [|the word ]{word} letter by letter[.|]",
    "~[List|Give me|Show|Name|Write] [the|all the|all] letters [of|in] [|the word ]{word}[.|]",
    "[What are|Which are] the letters [of|in] [|the word ]{word}?",
    "[Which|What] letters [are in|make up|does one need for] [|the word ]{word}?",
    "[What is|What's|whats] the spelling of {word}?",
    "{word} letter by letter[.|]",
    "{word} - [spell it|split into letters|spelling|spell that][.|]",
    "~Put a space between [the|all] letters of {word}.",
    "~[Write|Type] {word} with spaces between [the|its] letters[.|]",
    "~Separate the letters of {word}[| with spaces].",
    "list({word})",
    "[Can you spell|Do you know how to spell] {word}?",
)
BACKWARDS = (
    "~Reverse [the word|the string|the text|this word|this string]: {word}",
    "~Reverse {word}[.|]",
    "~Reverse the [word|string|letters of|letters in] {word}[.|]",
    "~[Spell|Write|Say|Type] {word} backwards[.|]",
    "~[Spell|Write|Say] [the word |]{word} [backward|in reverse|from back to front][.|]",
    "[What is|What's|whats] {word} [backwards|spelled backwards|in reverse|reversed|written "
    "backwards]?",
    "{word} [backwards|reversed|in reverse|spelled backwards][?|]",
    "How [do you|would you|do I] [spell|write] {word} backwards?",
    "~[Flip|Invert|Mirror|Turn around] [the word |the letters of |]{word}[.|]",
    "[Backwards|Reversed|Reverse word|Reverse string|Reverse spelling]: {word}",
    "[reverse|reversed]({word})",
    "~Reverse the [order of the letters|letter order] [in|of] {word}[.|]",
    "[What is|What's|whats] the reverse of [the word |the string |]{word}?",
    "{word}. [Reverse it|Spell that backwards|Now backwards][.|]",
    "[If|When] you [read|spell|write] {word} backwards, what [do you get|is it]?",
    "~Read [the word |]{word} from right to left[.|]",
    "[Word|Input|String]: {word}\n[Reversed|Backwards]:",
    "[I want|I need|Give me] {word} backwards[.|]",
    "{word} from the last letter to the first",
    "~Start with the last letter and spell {word} to the first.",
)
STRINGS_BACKWARDS = (
    "~Reverse [the|this] [string|text|phrase]: {word}",
    "~Reverse the [string|text|characters of] {word}[.|]",
    "~Reverse all [letters|characters] of {word}[.|]",
    "~Write {word} backwards, [letter by letter|character by character][.|]",
    "[What is|What's|whats] the string {word} reversed?",
    "[Reverse string|Reversed string|Reverse text|Reversed text]: {word}",
    "reverse_string({word})",
    "[The string|String|Text]: {word}\n[Reverse the letters.|Reverse the string.|Reversed:]",
    "~Spell {word} backwards[.|]",
    "[What is|What's|whats] {word} spelled backwards?",
    "~[Flip|Mirror|Invert] the [string|letters of] {word}[.|]",
    "~Read the letters of {word} from right to left[.|]",
)
SORTED_LETTERS = (
    "~Sort the letters [of|in] [the word |]{word}[.|]",
    "~Sort the letters [of|in] {word} [alphabetically|in alphabetical order|from a to z][.|]",
    "~[Put|Arrange|Order] the letters [of|in] {word} in [alphabetical order|order|ABC order][.|]",
    "~[Alphabetize|Alphabetise] the letters [of|in] {word}[.|]",
    "~Sort [the characters|the letters|this word|the word][| alphabetically]: {word}",
    "[What are|Which are] the letters of {word} in [alphabetical order|order]?",
    "[What is|What's|whats] {word} with its letters [sorted|in order]?",
    "[Sorted letters|Letters in order|Sort letters|Letters sorted]: {word}",
    "{word} with [sorted letters|its letters in alphabetical order|letters sorted]",
    "sorted({word})",
    "~Write the letters of {word} from A to Z[.|]",
    "[I need|Give me] the letters of {word} in [alphabetical order|order].",
)
PICKS = (
    "[What is|What's|Which is] the {nth} letter [of|in] [|the word ]{word}?",
    "[What|Which] letter [is|comes] {nth} in [|the word ]{word}?",
    "[The |]{nth} letter of {word}[?|]",
    "~[Give|Give me|Tell me|Name|Find|Say|Write|Show] the {nth} letter [of|in] {word}.",
    "{word}: [what is the |which is the |]{nth} letter[?|]",
    "[In|For] the word {word}[,|] [what|which] is the {nth} letter?",
    "~Take the {nth} letter of {word}.",
    "{word} - {nth} letter",
    "~Return the {nth} [letter|character] of {word}.",
    "[What|Which] is the {nth} [character|letter] of the string {word}?",
    "~Look at {word} and tell me the {nth} letter.",
    "[Letter|Letter wanted]: {nth}\nWord: {word}",
    "[I need|I want to know|I'd like] the {nth} letter of {word}.",
    "~[Extract|Get|Print|Pick] the {nth} [letter|character] [from|of] {word}.",
)
PARTS = (
    "[What are|What's|Which are] the {end} {number} letters [of|in] [|the word ]{word}?",
    "[The |]{end} {number} letters of {word}[?|]",
    "~[Give|Give me|Tell me|Name|Say|Write|Show] the {end} {number} letters [of|in] {word}.",
    "~[Take|Keep|Keep only|Return|Extract|Get|Print] the {end} {number} [letters|characters] of "
    "{word}.",
    "{word}: {end} {number} letters[?|]",
    "[Which|What] are the {end} {number} characters of [|the string ]{word}?",
    "With which {number} letters does {word} {verb}?",
    "[What|Which] {number} letters does {word} {verb} with?",
    "~Shorten {word} to its {end} {number} letters.",
    "~Cut {word} down to the {end} {number} letters.",
    "[In|For] the word {word}[,|] what are the {end} {number} letters?",
    "[I need|I want|I'd like|gimme] the {end} {number} letters of {word}.",
)
CONTAINS = (
    "Does [|the word ]{word} [contain|have|include] [|the letter ]{letter}?",
    "Does [|the word ]{word} [contain|have] [|the letter |a letter ]{letter} in it?",
    "Is [|the letter |there the letter |there a |there an |there any ]{letter} in [|the word "
    "]{word}?",
    "Is {letter} [one of the letters of|a letter of|part of] {word}?",
    "~[Check|Tell me|Say|Find out] [if|whether] [|the word ]{word} [contains|has] [|the letter ]"
    "{letter}.",
    "Can you find [|the letter |a letter ]{letter} in {word}?",
    "Is {word} [spelled|written|spelt] with [|the letter |a letter ]{letter}?",
    "{word} [contains|has] [|the letter ]{letter}, [yes or no|true or false|right]?",
    "{letter} in {word}?",
    "{word}: is there [|the letter ]{letter}?",
    "Do you [see|find|need] [|the letter ]{letter} in [|the word ]{word}?",
    "Do you [need|use] [|the letter ]{letter} to [write|spell] {word}?",
    "~[Answer|Say] yes or no: is [|the letter ]{letter} in {word}?",
    "~Look for [|the letter ]{letter} in {word}.",
    "contains({word}, {letter})",
)
EDGES = (
    "Does [|the word ]{word} {verb} with [|the letter |a letter ]{letter}?",
    "~[Check|Tell me|Say|Find out] [if|whether] [|the word ]{word} {verbs} with [|the letter ]"
    "{letter}.",
    "Is {letter} the {end} letter of {word}?",
    "Is the {end} letter of {word} [|a |the letter ]{letter}?",
    "{word} {verbs} with {letter}, [yes or no|true or false|right]?",
    "Is it true that {word} {verbs} with {letter}?",
    "{word}: does it {verb} with {letter}?",
    "[Word|The word]: {word}\nDoes it {verb} with {letter}?",
    "Would you say {word} {verbs} with {letter}?",
    "Is {word} a word that {verbs} with {letter}?",
    "~[Answer|Say] yes or no: does {word} {verb} with {letter}?",
    "Do you {verb} with {letter} when you spell {word}?",
)
PALINDROME_REQUESTS = (
    "Is [|the word ]{word} a palindrome?",
    "[Palindrome|Is it a palindrome|Is this a palindrome|Palindrome or not|Palindrome check]: "
    "{word}",
    "~[Check|Tell me|Say|Find out|Test|Determine] [if|whether] {word} is a palindrome.",
    "{word} - [palindrome|is it a palindrome|palindrome or not][?|]",
    "Does {word} read the same [backwards|both ways|forwards and backwards|in both directions]?",
    "Is {word} the same [backwards|when reversed|in reverse|spelled backwards]?",
    "is_palindrome({word})",
    "{word}: palindrome[, yes or no|][?|]",
    "Would you call {word} a palindrome?",
    "If I reverse {word}, is it [the same|the same word|still the same]?",
    "Can {word} be read [backwards|from both sides|both ways]?",
    "Is {word} [a palindrome or not|symmetric|a palindromic word]?",
    "~Answer yes or no: is {word} a palindrome?",
    "[The word|Word]: {word}\nIs it a palindrome?",
)


def _in_case(draw: Draw, word: str) -> str:
    kind = draw.rng.random()
    return word.capitalize() if kind < 0.06 else word.upper() if kind < 0.09 else word


def _spell(draw: Draw) -> Problem:
    word = _in_case(draw, draw.name() if draw.chance(0.1) else spelled_word(draw))
    request = draw.say(SPELLINGS, word=quoted(draw, word))
    return exact("letters", f"spell:{word.lower()}", request, spaced(word))


def _backwards(draw: Draw) -> Problem:
    kind = draw.rng.random()
    word = _in_case(draw, spelled_word(draw))
    templates: tuple[str, ...] = BACKWARDS
    shown = quoted(draw, word)
    if kind < 0.12:
        word = "".join(draw.pick(LETTERS[:8]) for _ in range(size(draw, 3, 7)))
        shown = quoted(draw, word)
    elif kind < 0.2:
        word = shown = str(draw.rng.randint(10, 99999))
    elif kind < 0.3:
        word = "hello world" if draw.chance(0.1) else " ".join(draw.distinct(2))
        templates, shown = STRINGS_BACKWARDS, set_off(draw, word)
    backwards = word[::-1]
    request = draw.say(templates, word=shown)
    work = f"{spaced(word)}, backwards {spaced(backwards)}: {backwards}"
    key = f"letters:backwards:{min(word.lower(), backwards.lower())}"
    return Problem("letters", (key,), ask(request), work, "final", backwards)


def _sorted_letters(draw: Draw) -> Problem:
    word = spelled_word(draw)
    letters = "".join(sorted(word))
    request = draw.say(SORTED_LETTERS, word=quoted(draw, word))
    work = f"{spaced(word)}, in order {spaced(letters)}: {letters}"
    return Problem("letters", (f"letters:sorted:{word}",), ask(request), work, "final", letters)


def _pick(draw: Draw) -> Problem:
    word = spelled_word(draw)
    place = draw.pick((0, 0, -1, -1, 1, 1, 2, 2, 3, 4, -2))
    if place >= len(word):
        place = 0
    names = {-1: ("last", "last", "final"), -2: ("second to last", "second last")}
    nth = draw.pick(names[place]) if place < 0 else ordinal(draw, place + 1)
    request = draw.say(PICKS, word=quoted(draw, word), nth=nth)
    key = f"pick:{place}:{word}"
    if place < 1:
        name = {0: "first", -1: "last", -2: "second to last"}[place]
        return worked("letters", key, request, spaced(word), f"The {name} letter is {word[place]}.")
    work = numbered(word[: place + 1])
    return worked("letters", key, request, work, f"Letter {place + 1} is {word[place]}.")


def _part(draw: Draw) -> Problem:
    word = spelled_word(draw)
    number = draw.pick((2, 2, 3, 3, 4))
    at_start = draw.chance(0.6)
    part = word[:number] if at_start else word[-number:]
    request = draw.say(
        PARTS,
        word=quoted(draw, word),
        number=cardinal(draw, number),
        end="first" if at_start else "last",
        verb=draw.pick(("start", "begin")) if at_start else "end",
    )
    key = f"letters:part:{number if at_start else -number}:{word}"
    return Problem("letters", (key,), ask(request), f"{spaced(word)}: {part}", "final", part)


def _contains(draw: Draw) -> Problem:
    word = spelled_word(draw)
    letter = draw.pick(word) if draw.chance(0.5) else draw.pick(LETTERS)
    shown = letter.upper() if draw.chance(0.1) else quoted(draw, letter)
    request = draw.say(CONTAINS, word=quoted(draw, word), letter=shown)
    result = (
        f"Yes, {word} has the letter {letter}."
        if letter in word
        else f"No, {word} does not have the letter {letter}."
    )
    return worked("letters", f"contains:{letter}:{word}", request, spaced(word), result)


def _edge(draw: Draw) -> Problem:
    word = spelled_word(draw)
    at_start = draw.chance(0.6)
    found = word[0] if at_start else word[-1]
    letter = found if draw.chance(0.5) else draw.pick(word + LETTERS)
    verb = draw.pick(("start", "begin")) if at_start else "end"
    request = draw.say(
        EDGES,
        word=quoted(draw, word),
        letter=letter.upper() if draw.chance(0.1) else quoted(draw, letter),
        verb=verb,
        verbs=f"{verb}s",
        end="first" if at_start else "last",
    )
    said = "starts" if at_start else "ends"
    result = f"{'Yes' if letter == found else 'No'}, {word} {said} with {found}."
    key = f"{'start' if at_start else 'end'}:{letter}:{word}"
    return worked("letters", key, request, spaced(word), result)


def _palindrome(draw: Draw) -> Problem:
    word = draw.slot(PALINDROMES) if draw.chance(0.5) else spelled_word(draw)
    if draw.chance(0.1):
        half = [draw.pick("abc") for _ in range(draw.pick((2, 3)))]
        word = "".join((*half, draw.pick(("", "d")), *reversed(half)))
    request = draw.say(PALINDROME_REQUESTS, word=quoted(draw, word))
    work = f"{spaced(word)}, backwards {spaced(word[::-1])}"
    result = f"Yes, {word} is a palindrome."
    if word != word[::-1]:
        result = f"No, {word} is not a palindrome."
    keys = (f"letters:palindrome:{word}", f"letters:backwards:{min(word, word[::-1])}")
    return Problem("letters", keys, ask(request), f"{work}. {result}", "final", result)


KINDS: Kinds = (
    (_spell, 2),
    (_backwards, 3),
    (_sorted_letters, 0.6),
    (_pick, 3),
    (_part, 1),
    (_contains, 1.5),
    (_edge, 1),
    (_palindrome, 1.5),
    (alphabet, 2),
)


def letters_of_word(draw: Draw) -> Problem:
    """Spell a word, either way, find letters in it, or go on in the alphabet."""
    return one_kind(draw, KINDS)
