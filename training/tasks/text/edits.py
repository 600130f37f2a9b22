"""Texts with words or letters replaced, removed or added."""

from training.tasks.problem import Problem
from training.tasks.text.counting import VOWELS, spelled_word
from training.tasks.text.layouts import Kinds, any_text, exact, quoted, say_text
from training.tasks.text.sentences import sentence_words, typed_sentence
from training.tasks.words import ANIMALS, COLORS, FRUITS
from training.wordings import Draw

REPLACEMENTS = (
    "~Replace {old} [with|by] {new} in: {text}",
    "~Replace {old} [with|by] {new} in {text}[.|]",
    "~Replace [the word|every|each|all] {old} [with|by] {new}: {text}",
    "~[Change|Swap|Exchange] {old} [to|for|into] {new} in: {text}",
    "~[Change|Swap] {old} [to|for] {new} in [the sentence |the text |]{text}[.|]",
    "~[Substitute|Put] {new} for {old} in: {text}",
    "~[Put|Write|Use] {new} instead of {old}: {text}",
    "~[Write|Put|Use] {new} instead of {old} in {text}[.|]",
    "In {text}[,|] [replace|change|swap] {old} [with|to|by] {new}[.|]",
    "{text}\n[Replace {old} with {new}.|Change {old} to {new}.]",
    "{text} - [replace|change] {old} [with|to] {new}",
    "[What is|What's|whats] {text} with {new} instead of {old}?",
    "[Find|Find and replace]: {old} -> {new}\n[Text|In]: {text}",
    "replace({text}, {old}, {new})",
    "~Find {old} and replace it [with|by] {new}: {text}",
    "~Turn [every|each] {old} into {new}: {text}",
    "[Replace|Old word]: {old}\n[With|New word]: {new}\n[In|Text|Sentence]: {text}",
    "[I have the text|My sentence is] {text}. Replace {old} with {new}[.|]",
    "~Edit [this|the text]: {text}. [Replace|Change] {old} [with|to] {new}[.|]",
    "~Say [this|the sentence] with {new} instead of {old}: {text}",
    "{old} should be {new}: {text}",
)
REMOVALS = (
    "~[Remove|Delete|Drop|Take out|Cut out|Erase] [|the word ]{old} from: {text}",
    "~[Remove|Delete|Drop|Take out] [|the word ]{old} from {text}[.|]",
    "~[Remove|Delete|Drop|Erase] [|the word |every ]{old}: {text}",
    "{text} without [|the word ]{old}[?|]",
    "{text} - [remove|delete|drop|without] {old}",
    "{text}\n[Remove|Delete|Drop] [|the word ]{old}[.|]",
    "[What is|What's|whats] {text} without [|the word ]{old}?",
    "[What is|What's|whats] left of {text} if [I|you] [remove|delete] {old}?",
    "In {text}[,|] [remove|delete|leave out] [|the word ]{old}[.|]",
    "~[Leave out|Skip|Omit] [|the word ]{old}: {text}",
    "~[Write|Say|Repeat] {text} without [|the word ]{old}[.|]",
    "~[Write|Say|Repeat] [this|the text] without [|the word ]{old}: {text}",
    "remove({text}, {old})",
    "[Word to remove|Remove|Delete]: {old}\n[Text|From]: {text}",
    "~Get rid of [|the word ]{old} in {text}[.|]",
)
END_WORDS = (
    "~[Remove|Delete|Drop|Cut|Take away] the {end} word: {text}",
    "~[Remove|Delete|Drop|Cut] the {end} word [from|of] {text}[.|]",
    "~[Remove|Delete|Drop] the {end} word [from|of] [this|the sentence|this text]: {text}",
    "{text} without the {end} word[?|]",
    "{text} - [remove|drop|delete] the {end} word",
    "{text}\n[Remove|Delete] the {end} word[.|]",
    "[What is|What's|whats] {text} without the {end} word?",
    "[What is|What's|whats] left of {text} without [its|the] {end} word?",
    "~[Leave out|Skip|Omit] the {end} word: {text}",
    "~[Write|Say|Repeat] {text} without the {end} word[.|]",
    "~[Write|Say|Repeat] [all|everything] but the {end} word: {text}",
    "[All but|Everything but|Without] the {end} word: {text}",
    "In {text}[,|] [remove|delete|drop] the {end} word[.|]",
)
LETTERS_OUT = (
    "~[Remove|Delete|Drop|Take out|Erase|Strip] {what} from: {text}",
    "~[Remove|Delete|Drop|Take out|Strip] {what} [from|in|of] {text}[.|]",
    "~[Remove|Delete|Drop|Erase] {what}: {text}",
    "{text} without {what}[?|]",
    "{text} - [remove|delete|drop|without] {what}",
    "{text}\n[Remove|Delete|Drop] {what}[.|]",
    "[What is|What's|whats] {text} without {what}?",
    "[What is|What's|whats] left of {text} if [I|you] [remove|delete] {what}?",
    "~[Leave out|Skip|Omit] {what}: {text}",
    "~[Write|Type|Spell] {text} without {what}[.|]",
    "~Get rid of {what} [in|from] {text}[.|]",
    "[Without|Remove|No] {what}: {text}",
    "~Write [this|this text] without {what}: {text}",
    "How does {text} look without {what}?",
)
LETTER_SWAPS = (
    "~Replace [|the letter |every |each ]{old} [with|by] [|the letter |an ]{new} in [the word "
    "|]{text}"
    "[.|]",
    "~Replace [|the letter |all letters ]{old} [with|by] {new}: {text}",
    "~[Change|Swap|Turn] [every|each|the letter] {old} [to|into|for] {new} in [the word "
    "|]{text}[.|]",
    "~[Change|Swap] {old} [to|for] {new}: {text}",
    "[What is|What's|whats] {text} with {new} instead of {old}?",
    "In {text}[,|] [replace|change] [every|each|the letter] {old} [with|to] {new}[.|]",
    "{text} with {new} instead of {old}[?|]",
    "~[Write|Spell] {text} with {new} instead of {old}[.|]",
    "[If|When] you [replace|swap] {old} with {new} in {text}, what do you get?",
    "{text} - [replace|change] the letter {old} [with|to] {new}",
    "replace_letter({text}, {old}, {new})",
    "[Word|The word]: {text}\nReplace {old} with {new}[.|]",
)
ADDITIONS = (
    "~[Add|Append|Put|Attach] {new} [to|at] the end of {text}[.|]",
    "~[Add|Append] {new} [to|after] {text}[.|]",
    "~[Add|Append|Put] {new} at the end: {text}",
    "~[Add|Append] the word {new} at the end of [this|the text|the sentence]: {text}",
    "~[Write|Put] {new} after {text}[.|]",
    "{text}\n[Add|Append] {new} [at the end|to the end][.|]",
    "{text} - add {new} at the end",
    "[What is|What's|whats] {text} with {new} added at the end?",
    "~End [this|this text] with {new}: {text}",
    "~Attach the word {new}: {text}",
    "[Append|Add|To append]: {new}\n[To|Text]: {text}",
    "append({text}, {new})",
)
PREFIXES = (
    "~[Add|Put] {new} [before|in front of|at the start of|at the beginning of] {text}[.|]",
    "~[Add|Put|Write] {new} [at the start|in front|at the beginning]: {text}",
    "~[Prepend|Prefix] {new}: {text}",
    "~Prepend {new} to {text}[.|]",
    "~[Start|Begin] [this|this text] with {new}: {text}",
    "~Write {new} before {text}[.|]",
    "{text} with {new} [in front|before it|at the start][?|]",
    "{text}\n[Add|Put] {new} [at the start|in front][.|]",
    "[What is|What's|whats] {text} with {new} in front?",
    "[Prepend|To prepend]: {new}\n[To|Text]: {text}",
    "prepend({text}, {new})",
    "~Let {text} begin with the word {new}[.|]",
)
END_MARKS = (
    "~[Add|Put|Write|Append] {mark} [to|at] the end of {text}[.|]",
    "~[Add|Put|Write] {mark} at the end: {text}",
    "~[Add|Append|Attach] {mark} to {text}[.|]",
    "~End {text} with {mark}[.|]",
    "~End [this|this sentence|the text] with {mark}: {text}",
    "{text} with {mark} at the end[?|]",
    "{text}\n[Add {mark} at the end.|End it with {mark}.|Add {mark}.]",
    "[What is|What's|whats] {text} with {mark} at the end?",
    "~Finish [this|the sentence] with {mark}: {text}",
    "~Close [this|the sentence] with {mark}: {text}",
    "[I need|Give me] {text} with {mark} at the end.",
)
SIGNS = {
    ".": ("a period", "a full stop", "a dot"),
    "!": ("an exclamation mark", "an exclamation point"),
    "?": ("a question mark",),
}
QUOTES = (
    "~[Put|Write|Set|Wrap] {text} in {marks}[.|]",
    "~[Put|Write|Set|Wrap] in {marks}: {text}",
    "~Add {marks} [around|to] {text}[.|]",
    "~Add {marks} around[| this]: {text}",
    "~[Surround|Enclose|Wrap] {text} with {marks}[.|]",
    "{text} in {marks}[?|]",
    "{text}\n[Put this in {marks}.|Add {marks}.]",
    "~Use {marks} around {text}[.|]",
    "[In|With] {marks}: {text}",
    "[What is|What's|whats] {text} in {marks}?",
    "[I need|I want|Give me|gimme] {text} in {marks}.",
    "~Put {marks} around [this text|this|the text]: {text}",
)
MARKS = {
    "quotes": '"{}"',
    "quotation marks": '"{}"',
    "double quotes": '"{}"',
    "single quotes": "'{}'",
    "brackets": "({})",
    "parentheses": "({})",
    "square brackets": "[{}]",
    "stars": "*{}*",
    "asterisks": "*{}*",
    "curly brackets": "{{{}}}",
}
PUNCTUATION = ".,!?;:"
LETTER_REMOVALS = (
    *("vowels", "vowels", "spaces", "spaces", "letter", "letter"),
    *("first", "last", "punctuation"),
)


def _words(draw: Draw) -> list[str]:
    """Words of a list or of a sentence, some of them more than once."""
    if draw.chance(0.55):
        return sentence_words(draw)
    words = draw.distinct(draw.pick((2, 3, 3, 4, 5)))
    if draw.chance(0.5):
        words += draw.rng.choices(words, k=draw.pick((1, 2, 3)))
        draw.rng.shuffle(words)
    return words


def _pick(draw: Draw, words: list[str]) -> str:
    """One of the words, long ones more often."""
    return max(draw.pick(words), draw.pick(words), key=len)


def _fitting(draw: Draw, old: str) -> str:
    for kind in (ANIMALS, COLORS, FRUITS):
        if old in kind:
            return draw.slot(kind)
    return draw.name() if old[0].isupper() and old not in ("I", "The", "My") else draw.word()


def _replace(draw: Draw) -> Problem:
    words, mark = _words(draw), draw.pick(("", "", "."))
    old = _pick(draw, words)
    new = _fitting(draw, old)
    text = " ".join(words) + mark
    request = say_text(draw, REPLACEMENTS, text, old=quoted(draw, old), new=quoted(draw, new))
    answer = " ".join(new if word == old else word for word in words) + mark
    return exact("edit", f"replace:{old}:{new}:{text}", request, answer)


def _remove(draw: Draw) -> Problem:
    words, mark = _words(draw), draw.pick(("", "", "."))
    old = _pick(draw, words)
    if len(set(words)) == 1:
        words.append(draw.word())
    text = " ".join(words) + mark
    request = say_text(draw, REMOVALS, text, old=quoted(draw, old))
    answer = " ".join(word for word in words if word != old) + mark
    return exact("edit", f"remove:{old}:{text}", request, answer)


def _remove_end(draw: Draw) -> Problem:
    words = _words(draw)
    if len(words) < 2:
        words.append(draw.word())
    at_start = draw.chance(0.5)
    text = " ".join(words)
    request = say_text(draw, END_WORDS, text, end="first" if at_start else "last")
    answer = " ".join(words[1:] if at_start else words[:-1])
    return exact("edit", f"{'first' if at_start else 'last'}:{text}", request, answer)


def _letters_out(draw: Draw) -> Problem:
    names: tuple[str, ...]
    kind = draw.pick(
        ("vowels", "vowels", "spaces", "spaces", "letter", "letter", "first", "last", "punctuation")
    )
    if kind == "spaces":
        text = " ".join(draw.distinct(draw.pick((2, 2, 3, 4))))
        if draw.chance(0.4):
            text = " ".join(draw.pick("abcdefgh") for _ in range(draw.rng.randint(3, 7)))
        names, answer = ("spaces", "the spaces", "all spaces", "blanks"), text.replace(" ", "")
    elif kind in ("first", "last"):
        text = spelled_word(draw)
        names = (f"the {kind} letter", f"its {kind} letter", f"the {kind} character")
        answer = text[1:] if kind == "first" else text[:-1]
    elif kind == "punctuation":
        text = typed_sentence(draw)
        if text[-1] not in PUNCTUATION:
            text += draw.pick(".!?")
        names = ("punctuation", "the punctuation", "all punctuation", "punctuation marks")
        answer = "".join(letter for letter in text if letter not in PUNCTUATION)
    else:
        text = spelled_word(draw)
        letter = draw.pick(text)
        gone = VOWELS if kind == "vowels" else letter
        names = ("vowels", "the vowels", "all vowels", "its vowels")
        if kind == "letter":
            names = (f"the letter {letter}", f"all {letter}'s", f'"{letter}"', f"every {letter}")
        answer = "".join(other for other in text if other not in gone)
        if not answer:
            return _letters_out(draw)
        kind = f"out:{gone}"
    request = say_text(draw, LETTERS_OUT, text, what=draw.pick(names))
    return exact("edit", f"{kind}:{text}", request, answer)


def _swap_letter(draw: Draw) -> Problem:
    text = spelled_word(draw)
    old, new = draw.pick(text), draw.pick("abcdefghiklmnoprstuxyz")
    request = say_text(draw, LETTER_SWAPS, text, old=quoted(draw, old), new=quoted(draw, new))
    return exact("edit", f"letter:{old}:{new}:{text}", request, text.replace(old, new))


def _add(draw: Draw) -> Problem:
    text, new = " ".join(_words(draw)), draw.word()
    if draw.chance(0.6):
        request = say_text(draw, ADDITIONS, text, new=quoted(draw, new))
        return exact("edit", f"append:{new}:{text}", request, f"{text} {new}")
    request = say_text(draw, PREFIXES, text, new=quoted(draw, new))
    return exact("edit", f"prepend:{new}:{text}", request, f"{new} {text}")


def _mark(draw: Draw) -> Problem:
    text = any_text(draw)
    name = draw.pick(tuple(MARKS))
    request = say_text(draw, QUOTES, text, marks=name)
    return exact("edit", f"{MARKS[name]}:{text}", request, MARKS[name].format(text))


def _end_mark(draw: Draw) -> Problem:
    text = " ".join(sentence_words(draw)) if draw.chance(0.7) else " ".join(_words(draw))
    sign = draw.pick(tuple(SIGNS))
    request = say_text(draw, END_MARKS, text, mark=draw.pick(SIGNS[sign]))
    return exact("edit", f"end:{sign}:{text}", request, text + sign)


EDIT_KINDS: Kinds = (
    (_replace, 3),
    (_remove, 1.5),
    (_remove_end, 1),
    (_letters_out, 2),
    (_swap_letter, 0.8),
    (_add, 1),
    (_mark, 0.6),
    (_end_mark, 0.5),
)
