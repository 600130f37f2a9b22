"""Texts in another case, joined, split, and with words or letters replaced or removed."""

from collections.abc import Callable, Sequence

from training.tasks.problem import Problem
from training.tasks.text.edits import EDIT_KINDS
from training.tasks.text.layouts import (
    Kinds,
    any_text,
    exact,
    listed_words,
    one_kind,
    say_list,
    say_text,
    size,
)
from training.tasks.text.sentences import sentence_words, typed_sentence
from training.wordings import Draw

UPPER = (
    "~[Write|Put|Type|Print|Show] in [capital letters|capitals|upper case|all caps]: {text}",
    "~[Change|Convert|Turn|Transform] to [upper case|uppercase|capital letters|all caps]: {text}",
    "~[Change|Convert|Turn|Transform] {text} [to|into] [upper case|uppercase|capital letters|"
    "all caps][.|]",
    "~[Uppercase|Upper-case|Capitalize all letters][| this| this text| the following]: {text}",
    "~[Uppercase|Upper-case] {text}[.|]",
    "~[Make|Write|Put|Say|Type] {text} [uppercase|in all caps|in capital letters|in capitals|in "
    "upper case][.|]",
    "~Make [this|the text|it|this text] [uppercase|upper case|all caps|all capitals]: {text}",
    "{text} in [upper case|uppercase|capital letters|all caps|capitals|big letters][?|]",
    "{text} [to|into] [upper case|uppercase|upper]",
    "[What is|What's|whats] {text} in [upper case|uppercase|capital letters|all caps]?",
    "[Upper case|Uppercase|All caps|Capital letters|To upper|UPPER]: {text}",
    "[upper|uppercase|to_upper]({text})",
    "How [do you|do I|would you] write {text} in [capital letters|all caps|upper case]?",
    "~Capitalize [every letter|all letters|all the letters|each letter] [of|in] {text}[.|]",
    "~[Shout|Yell|Shout this|Shout in capitals]: {text}",
    "[Text|String|Input]: {text}\n[Upper case:|Make it upper case.|In capital letters:]",
    "~Use [only capital letters|only capitals|big letters] for: {text}",
    "{text}. [Make it all caps|Now in capital letters|In upper case, please].",
    "[I need|I want|Give me|gimme] {text} in [capital letters|upper case|all caps].",
    "~Return {text} in [upper case|uppercase][.|]",
)
LOWER = (
    "~[Write|Put|Type|Print|Show] in [small letters|lower case|lowercase letters]: {text}",
    "~[Change|Convert|Turn|Transform] to [lower case|lowercase|small letters]: {text}",
    "~[Change|Convert|Turn|Transform] {text} [to|into] [lower case|lowercase|small letters][.|]",
    "~[Lowercase|Lower-case][| this| this text| the following]: {text}",
    "~[Lowercase|Lower-case] {text}[.|]",
    "~[Make|Write|Put|Type] {text} [lowercase|in small letters|in lower case][.|]",
    "~Make [this|the text|it|this text] [lowercase|lower case|all small]: {text}",
    "{text} in [lower case|lowercase|small letters][?|]",
    "{text} [to|into] [lower case|lowercase|lower]",
    "[What is|What's|whats] {text} in [lower case|lowercase|small letters]?",
    "[Lower case|Lowercase|Small letters|To lower|lower]: {text}",
    "[lower|lowercase|to_lower]({text})",
    "How [do you|do I|would you] write {text} in [small letters|lower case]?",
    "~Remove the [capitals|capital letters|caps] from {text} and write small letters[.|]",
    "[Text|String|Input]: {text}\n[Lower case:|Make it lower case.|In small letters:]",
    "~Use [only small letters|no capitals|no capital letters] for: {text}",
    "{text}. [Make it lower case|Now in small letters|No caps].",
    "[I need|I want|Give me|gimme] {text} in [small letters|lower case].",
    "~Return {text} in [lower case|lowercase][.|]",
)
TITLE = (
    "~[Capitalize|Capitalise] [each|every] word: {text}",
    "~[Capitalize|Capitalise] [each|every] word [in|of] {text}[.|]",
    "~[Capitalize|Capitalise] [the|all] words[| of this text| in this]: {text}",
    "~[Capitalize|Capitalise] the first letter of [each|every] word: {text}",
    "~[Change|Convert|Turn|Transform] to title case: {text}",
    "~[Change|Convert|Turn|Transform] {text} [to|into] title case[.|]",
    "~[Write|Put|Print] {text} in title case[.|]",
    "~[Write|Put] in title case: {text}",
    "{text} in title case[?|]",
    "[What is|What's|whats] {text} in title case?",
    "[Title case|Titlecase|Title Case|To title case|Title]: {text}",
    "[title|title_case|titlecase]({text})",
    "~Make [every|each] word [in|of] {text} start with a capital letter[.|]",
    "~Make [every|each] word start with a capital: {text}",
    "~Make [this|it] [title case|a title]: {text}",
    "~Start [every|each] word with a capital letter: {text}",
    "~Write [this|this text] like a [title|headline]: {text}",
    "[Text|String|Input]: {text}\n[Title case:|Make it title case.|Capitalize each word.]",
    "[I need|I want|Give me|gimme] {text} in title case.",
)
CAPITAL = (
    "~[Capitalize|Capitalise] {text}[.|]",
    "~[Capitalize|Capitalise][| this| it| the following]: {text}",
    "[capitalize|capitalise]({text})",
    "[Capitalized|Capitalize|Capital letter first]: {text}",
    "{text} capitalized[?|]",
    "~[Capitalize|Capitalise] the first letter[| only]: {text}",
    "~[Capitalize|Capitalise] the first letter of {text}[.|]",
    "~[Capitalize|Capitalise] the first word: {text}",
    "~[Start|Begin] {text} with a capital letter[.|]",
    "~Make the first letter of {text} [upper case|a capital|uppercase][.|]",
    "~Make the first letter [big|upper case|uppercase|a capital]: {text}",
    "~[Start|Begin] [this|the sentence] with a capital letter: {text}",
    "[What is|What's|whats] {text} with a capital first letter?",
    "[Sentence case|To sentence case|Capital first letter]: {text}",
    "~[Write|Put] {text} in sentence case[.|]",
    "~[Change|Convert] to sentence case: {text}",
    "{text} in sentence case[?|]",
    "{text} with a capital [at the start|first letter]",
)
SNAKE = (
    "~[Convert|Change|Turn] to {style}: {text}",
    "~[Convert|Change|Turn] {text} [to|into] {style}[.|]",
    "~[Write|Put] {text} in {style}[.|]",
    "~[Write|Put] in {style}: {text}",
    "{text} in {style}[?|]",
    "{text} [to|as] {style}",
    "[What is|What's|whats] {text} in {style}?",
    "{style}: {text}",
    "~Make {text} {style}[.|]",
    "~Make a {style} name [of|from|out of] {text}[.|]",
    "~Use {style} for: {text}",
    "How do I write {text} in {style}?",
    "[Variable|Name|Identifier]: {text}\nIn {style}:",
    "[I need|Give me] {text} in {style}.",
)
STYLES: dict[str, Callable[[Sequence[str]], str]] = {
    "snake case": "_".join,
    "snake_case": "_".join,
    "kebab case": "-".join,
    "kebab-case": "-".join,
    "camel case": lambda words: words[0] + "".join(word.title() for word in words[1:]),
    "camelCase": lambda words: words[0] + "".join(word.title() for word in words[1:]),
}
JOINS = (
    "~Join [these words|these|the words|the following|the following words|the list] with {sep}: "
    "{items}",
    "~Join {items} with {sep}[.|]",
    "~[Connect|Combine|Link|Concatenate|Glue] [these words|the words|these] with {sep}: {items}",
    "~[Connect|Combine|Link|Concatenate] {items} with {sep}[.|]",
    "~Put {sep} between [these words|the words|each of these|these]: {items}",
    "~[Put|Insert|Write] {sep} between {items}[.|]",
    "{items} joined [with|by] {sep}[?|]",
    "{items} - join [them |]with {sep}",
    "[What is|What's|whats] {items} joined [with|by] {sep}?",
    "~Separate [these words|the words|these] [with|by] {sep}: {items}",
    "~Write [these words|the words|these] with {sep} between them: {items}",
    "~Make one [string|word|text] of {items} with {sep} between[.|]",
    "[Join|Joined] with {sep}: {items}",
    "[Words|List|Items]: {items}\n[Join them with {sep}.|Separator: {sep}]",
    "~Use {sep} to [join|connect|link] {items}[.|]",
    "join({items}, {sep})",
    "[I need|I want|Give me|gimme] {items} with {sep} between them.",
    "[Separator|Delimiter]: {sep}\n[Words|Join]: {items}",
)
GLUED = (
    "~Join [these words|these|the words|the following] [together|into one word]: {items}",
    "~[Join|Put|Glue|Stick] {items} together[.|]",
    "~[Concatenate|Concat|Merge|Combine|Glue together]: {items}",
    "~[Concatenate|Concat|Merge|Fuse] {items}[.|]",
    "~[Concatenate|Join|Combine|Merge] [these|the] [words|strings]: {items}",
    "~[Join|Combine|Concatenate] {items} without [spaces|a space|any separator][.|]",
    "~Make one word [of|out of|from] {items}[.|]",
    "[What is|What's|whats] {items} [concatenated|joined together|written as one word]?",
    "[Concatenation|Concatenated|One word|As one word] of {items}[?|]",
    "{items} as one word[?|]",
    "{items} without spaces[?|]",
    "concat({items})",
    "~Write [these words|the words] without spaces: {items}",
    "[If|When] you put {items} together, which word do you get?",
)
SPLITS = (
    "~Split [at|on|by] {sep}: {text}",
    "~Split {text} [at|on|by|by its] {sep}[.|]",
    "~Split [this|the string|this text|the text] [at|on|by] {sep}: {text}",
    "~[Break|Divide|Cut|Separate] {text} [at|by] {sep}[.|]",
    "~[Break|Divide|Cut] [this|the string] [at|on|by] {sep}: {text}",
    "{text} split [at|on|by] {sep}[?|]",
    "[What are|Which are] the parts of {text} [split|cut] at {sep}?",
    "~[List|Give me|Show] the parts [between {sep}|split by {sep}]: {text}",
    "[Split|Split string|Parts|Separator] {sep}: {text}",
    "split({text}, {sep})",
    "[String|Text|Input]: {text}\n[Split at|Separator:|Split by] {sep}",
    "~Use {sep} to split {text}[.|]",
    "~Turn {text} into a list, [splitting|split] at {sep}[.|]",
)
SENTENCE_SPLITS = (
    "~Split [this sentence|the sentence|this text|this] into words: {text}",
    "~Split {text} into words[.|]",
    "~[Break|Divide|Separate|Cut] [this|the sentence|this text] into [single |]words: {text}",
    "~[Break|Divide|Separate] {text} into [its |]words[.|]",
    "~[Tokenize|Tokenise]: {text}",
    "~List [the|all] words [of|in] [this sentence|this text|this]: {text}",
    "~List the words [of|in] {text}[.|]",
    "[Which|What] words are in {text}?",
    "{text} - split into words",
    "[What are|Which are] the words of {text}?",
    "~Turn [this|this sentence] into a list of words: {text}",
    "[Words|List of words|Split into words]: {text}",
    "{text}\n[Split into words.|List the words.]",
)
SPACES = (
    "~Replace [the |all |]{spaces} [with|by] {sep}: {text}",
    "~Replace [the |all |]{spaces} [with|by] {sep} in {text}[.|]",
    "~Replace [the |all |]{spaces} in {text} [with|by] {sep}[.|]",
    "~[Change|Turn|Convert] [the |all |]{spaces} [to|into] {sep}: {text}",
    "~[Change|Turn] [the |all |]{spaces} in {text} [to|into] {sep}[.|]",
    "~[Put|Write|Use] {sep} instead of {spaces}: {text}",
    "~[Write|Type] {text} with {sep} instead of {spaces}[.|]",
    "{text} with {sep} instead of {spaces}[?|]",
    "{text}\n[Replace {spaces} with {sep}.|{sep} for {spaces}, please.]",
    "~Swap [the |]{spaces} for {sep}: {text}",
    "[Spaces to|Replace spaces] {sep}: {text}",
    "[What is|What's|whats] {text} with {sep} instead of {spaces}?",
)
SEPARATORS: dict[str, tuple[str, ...]] = {
    "-": ("a dash", "dashes", "a hyphen", "hyphens", '"-"', "-", "'-'", "a minus"),
    "_": ("an underscore", "underscores", '"_"', "_", "'_'"),
    "/": ("a slash", "slashes", '"/"', "/", "'/'"),
    "+": ("a plus", "plus signs", '"+"', "+", "a plus sign"),
    ".": ("a dot", "dots", '"."', "a period", "points"),
    "|": ("a pipe", '"|"', "|", "a vertical bar"),
    ":": ("a colon", "colons", '":"'),
    "*": ("a star", "stars", "*", "an asterisk"),
}
WIDE: dict[str, tuple[str, ...]] = {
    ", ": ("a comma", "commas", "a comma and a space"),
    "; ": ("a semicolon", "semicolons"),
    " ": ("a space", "spaces", "a single space"),
    " and ": ('"and"', "and", "the word and"),
    " or ": ('"or"', "or", "the word or"),
    " -> ": ("arrows", '"->"', "->"),
}


def _cased(
    templates: Sequence[str], name: str, change: Callable[[str], str]
) -> Callable[[Draw], Problem]:
    def generate(draw: Draw) -> Problem:
        text = any_text(draw)
        if name == "lower":
            text = draw.pick((str.title, str.upper, str.upper))(text)
        elif name in ("title", "capital"):
            text = text.lower()
        text = text.replace("'", "")
        key = f"{name}:{text.lower()}"
        return exact("string", key, say_text(draw, templates, text), change(text))

    return generate


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]


def _styled(draw: Draw) -> Problem:
    words = draw.distinct(draw.pick((2, 2, 3)))
    if draw.chance(0.15):
        words = ["hello", "world"]
    style = draw.pick(tuple(STYLES))
    text = " ".join(words)
    request = say_text(draw, SNAKE, text, style=style)
    return exact("string", f"{style[:5]}:{text}", request, STYLES[style](words))


def _join(draw: Draw) -> Problem:
    items = listed_words(draw, size(draw, 2, 6))
    if draw.chance(0.15):
        items = [str(draw.rng.randint(0, 99)) for _ in items]
    joint = draw.pick((*SEPARATORS, *WIDE))
    name = draw.pick((SEPARATORS | WIDE)[joint])
    request = say_list(draw, JOINS, items, sep=name)
    return exact("string", f"join:{joint}:{':'.join(items)}", request, joint.join(items))


def _replace_spaces(draw: Draw) -> Problem:
    items = sentence_words(draw) if draw.chance(0.3) else draw.distinct(draw.pick((2, 3, 3, 4)))
    joint = draw.pick(tuple(SEPARATORS))
    name = draw.pick(SEPARATORS[joint])
    text = " ".join(items)
    request = say_text(
        draw, SPACES, text, sep=name, spaces=draw.pick(("spaces", "spaces", "blanks"))
    )
    return exact("string", f"join:{joint}:{':'.join(items)}", request, joint.join(items))


def _glue(draw: Draw) -> Problem:
    items = draw.distinct(draw.pick((2, 2, 2, 3)))
    request = say_list(draw, GLUED, items)
    return exact("string", f"glue:{':'.join(items)}", request, "".join(items))


def _split(draw: Draw) -> Problem:
    if draw.chance(0.5):
        text = typed_sentence(draw).rstrip(".?!").replace(",", "")
        request = say_text(draw, SENTENCE_SPLITS, text)
        return exact("string", f"words:{text}", request, ", ".join(text.split()))
    items = draw.distinct(draw.pick((2, 3, 3, 4)))
    joint = draw.pick((*SEPARATORS, ",", ";"))
    name = draw.pick(SEPARATORS.get(joint, ("a comma", "commas")))
    if joint == ";":
        name = draw.pick(("a semicolon", "semicolons", '";"'))
    request = say_text(draw, SPLITS, joint.join(items), sep=name)
    return exact("string", f"split:{joint}:{':'.join(items)}", request, ", ".join(items))


KINDS: Kinds = (
    (_cased(UPPER, "upper", str.upper), 4),
    (_cased(LOWER, "lower", str.lower), 2.5),
    (_cased(TITLE, "title", str.title), 2),
    (_cased(CAPITAL, "capital", _capital), 1),
    (_styled, 1),
    (_join, 2),
    (_replace_spaces, 0.8),
    (_glue, 0.8),
    (_split, 1.5),
)


def change_text(draw: Draw) -> Problem:
    """Change the case of a text, join words, or split them."""
    return one_kind(draw, KINDS)


def edit_text(draw: Draw) -> Problem:
    """Replace, remove or add words or letters."""
    return one_kind(draw, EDIT_KINDS)
