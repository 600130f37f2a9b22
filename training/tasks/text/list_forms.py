"""Lists written in another form, and initials."""

from training.tasks.problem import Problem
from training.tasks.text.layouts import Kinds, exact, listed_words, say_list, say_text, size
from training.wordings import Draw

BULLETS = (
    "~[Make|Write|Create|Give me] a [bullet list|bulleted list|bullet point list|list with bullet "
    "points|list with bullets] [of|from|out of|with]: {items}",
    "~[Make|Write|Create|Give me] a [bullet list|bulleted list|bullet point list] [of|from|out of] "
    "{items}[.|]",
    "~[Turn|Convert|Change] [this|these|the following] [into|to] [bullet points|a bullet list|a "
    "bulleted list|bullets]: {items}",
    "~[Turn|Convert|Change] {items} [into|to] [bullet points|a bullet list|bullets][.|]",
    "~[Write|Format|List|Put|Show] [these|this|the items|it] [as|with|in] [bullet points|bullets|a "
    "bullet list]: {items}",
    "~[Write|Format|List|Show] {items} [as|with] [bullet points|bullets|a bullet list][.|]",
    "{items} as [bullet points|a bullet list|bullets|a bulleted list][.|]",
    "{items}. [Bullet points, please|Make bullets|Bullet list].",
    "{items}\n[Make this a bullet list.|As bullet points:|Bullets, please.]",
    "[Bullet points|Bullets|Bullet list|Bulleted list|As bullets]: {items}",
    "~[List|Write] [these|the items] with a dash [in front|before each]: {items}",
    "~Put a dash [in front of|before] each[| item| word]: {items}",
    "[I need|I want|I'd like|gimme] bullet points [for|of] {items}.",
    "~Make [a markdown list|a list in markdown] [of|from] {items}[.|]",
    "[Markdown list|Dashed list|List with dashes]: {items}",
    "~Bullet [these|the items|this list]: {items}",
    "~[Turn|Convert|Change|Make] [this|these|these words|it|them] into a list: {items}",
    "~[Make|Write|Create] a list[| of| from| out of| with]: {items}",
    "~[Make|Write|Create] a list [of|with] {items}[.|]",
    "~[Make|Write|Create|Give me] a [shopping|to-do|todo|grocery|packing|check] list [of|with] "
    "{items}[.|]",
    "[Shopping list|Grocery list|To-do list|Todo|Todo list|Checklist]: {items}",
    "[I need|I have] to [buy|get] {items}. [Make|Write] [a|my|me a] [shopping |]list[.|]",
)
NUMBERED = (
    "~[Make|Write|Create|Give me] a [numbered list|list with numbers|numbered listing] "
    "[of|from|out of|with]: {items}",
    "~[Make|Write|Create|Give me] a numbered list [of|from|out of|with] {items}[.|]",
    "~[Turn|Convert|Change] [this|these|the following] [into|to] a numbered list: {items}",
    "~[Turn|Convert|Change] {items} [into|to] a numbered list[.|]",
    "~Number [these|these items|the items|this list|these words|the following]: {items}",
    "~Number {items}[.|]",
    "~[Write|Format|List|Put|Show] [these|this|the items|it] [as a numbered list|with numbers]: "
    "{items}",
    "~[Write|Format|List|Show] {items} [as a numbered list|with numbers][.|]",
    "{items} [as|in] a numbered list[.|]",
    "{items}. [Number them|Numbered list, please|Make it a numbered list].",
    "{items}\n[Number these.|As a numbered list:|Make this a numbered list.]",
    "[Numbered list|Numbered|With numbers|Enumerate|List with numbers]: {items}",
    "~Enumerate [these|the items|this list]: {items}",
    "~Put a number [in front of|before] each[| item| word]: {items}",
    "[I need|I want|I'd like|gimme] a numbered list [of|with] {items}.",
    "enumerate({items})",
)
COMMAS = (
    "~[Make|Write|Create|Give me] a comma[-| ]separated list [of|from|out of|with]: {items}",
    "~[Make|Write|Create|Give me] a comma[-| ]separated list [of|from] {items}[.|]",
    "~[Turn|Convert|Change] [this|these|the following] [into|to] a [comma-separated list|comma "
    "separated list|comma list|list with commas]: {items}",
    "~[Turn|Convert] {items} into a comma[-| ]separated list[.|]",
    "~[Write|Format|List|Put] [these|the items|it] [separated by commas|with commas|on one line "
    "with "
    "commas]: {items}",
    "~[Separate|Divide] [these|the items|these words|the words] [by|with] commas: {items}",
    "{items} [separated by commas|with commas|as a comma separated list][.|]",
    "{items}\n[Separate these with commas.|With commas:|On one line with commas.]",
    "[Comma separated|Comma list|Comma-separated|With commas|CSV]: {items}",
    "~[Add|Put|Insert] commas between [these|the words|the items]: {items}",
    "~Make a comma list [of|from|out of] {items}[.|]",
    "~Write [these|the items] in one line, separated by commas: {items}",
    "[I need|I want|I'd like|gimme] {items} with commas.",
)
LINES = (
    "~[Write|Put|Print|List] [these|the items|each item|them|each] on [separate lines|a new "
    "line|its "
    "own line|a line of its own]: {items}",
    "~[Write|Put|Print|List] {items} on separate lines[.|]",
    "~[Write|Put|Print|List] {items} one per line[.|]",
    "~[Write|Put|List|Print] [these|the items|this|this list] [one per line|line by line|one below "
    "the other|vertically]: {items}",
    "~[Turn|Convert] [this|these] into [one item per line|lines]: {items}",
    "{items} [one per line|on separate lines|one item per line|line by line][.|]",
    "[One per line|One item per line|Line by line|Vertical list|Lines]: {items}",
    "~Split [this list|the list|these] [into lines|over lines]: {items}",
    "~Put a line break [after each|between]: {items}",
    "~Make a vertical list [of|from|out of] {items}[.|]",
    "{items}. [Each on a new line|One per line, please].",
    "[I need|I want|I'd like|gimme] {items} one per line.",
)
ANDS = (
    "~[Join|Write|List|Connect] [these|the items|these words] with commas and [an |]and: {items}",
    "~[Write|List|Say] [these|the items] as in a sentence: {items}",
    '~Write [these|the items] with commas and "and" before the last[| one]: {items}',
    "~[Turn|Convert|Make] [this list|these words] into [a phrase|part of a sentence]: {items}",
    '~Put commas and "and" between [these|the items]: {items}',
    "~Write {items} as [a phrase|words in a sentence] with commas and an and[.|]",
    "[With commas and and|As a phrase|In a sentence|Natural list]: {items}",
    "~Join [these|the words] like in English: {items}",
    "{items} as [a phrase|an English list] with and[.|]",
    "~Say [this list|these items] in one phrase: {items}",
)
INITIALS = (
    "~[Give|Give me|Write|List|Tell me|Say|Show] the first letter of [each|every] word: {text}",
    "~[Give|Write|List|Show] the first letter of each word in {text}[.|]",
    "~[Give|Give me|Write|List|Find] the initials[| of each word| of these words]: {text}",
    "[What are|Which are] the [initials|first letters] of {text}?",
    "[Initials|The initials|First letters] of {text}[?|]",
    "[Initials|First letters|First letter of each word]: {text}",
    "~[Take|Get|Keep] [only |]the first letter of [each|every] word: {text}",
    "[What is|What's|whats] the first letter of [each|every] word in {text}?",
    "{text} - [first letters|initials|first letter of each word]",
    "{text}\n[First letters?|Write the first letter of each word.|Initials?]",
    "[Which|What] letter does [each|every] word [start|begin] with: {text}",
    "initials({text})",
    "~Shorten [each|every] word to its first letter: {text}",
)
ACRONYMS = (
    "~[Make|Write|Create|Build|Form|Give me] an [acronym|abbreviation] [of|for|from|out of]: "
    "{text}",
    "~[Make|Create|Form|Give me] an [acronym|abbreviation] [of|for|from] {text}[.|]",
    "[What is|What's|whats] the [acronym|abbreviation] [of|for] {text}?",
    "[Acronym|Abbreviation|The acronym] [of|for] {text}[?|]",
    "[Acronym|Abbreviation|Abbreviate]: {text}",
    "~Abbreviate {text}[.|]",
    "~Abbreviate [this|the name|the words]: {text}",
    "How [do you|would you|do I] abbreviate {text}?",
    "{text} as an [acronym|abbreviation]",
    "{text}\n[Acronym?|What is the abbreviation?]",
    "~Shorten {text} to an acronym[.|]",
    "[I need|I want|I'd like|gimme] an acronym for {text}.",
)


def _list_form(draw: Draw) -> Problem:
    items = listed_words(draw, 2 if draw.chance(0.12) else size(draw, 3, 7))
    kind = draw.rng.choices(("bullet", "number", "comma", "line", "and"), (4, 4, 2, 1, 1))[0]
    key = f"{kind}:{':'.join(items)}"
    match kind:
        case "bullet":
            request = say_list(draw, BULLETS, items)
            answer = "\n".join(f"- {item}" for item in items)
        case "number":
            request = say_list(draw, NUMBERED, items)
            answer = "\n".join(f"{i}. {item}" for i, item in enumerate(items, 1))
        case "comma":
            request = say_list(draw, COMMAS, items)
            answer = ", ".join(items)
        case "line":
            request, answer = say_list(draw, LINES, items), "\n".join(items)
        case _:
            request = say_list(draw, ANDS, items)
            answer = f"{', '.join(items[:-1])} and {items[-1]}"
    return exact("layout", key, request, answer)


def _initials(draw: Draw) -> Problem:
    count = draw.pick((2, 3, 3, 4, 5))
    words = draw.distinct(count) if draw.chance(0.7) else [draw.name() for _ in range(count)]
    text = " ".join(words)
    if draw.chance(0.6):
        request = say_text(draw, INITIALS, text)
        return exact("layout", f"initials:{text}", request, " ".join(word[0] for word in words))
    request = say_text(draw, ACRONYMS, text)
    answer = "".join(word[0].upper() for word in words)
    return exact("layout", f"acronym:{text}", request, answer)


FORM_KINDS: Kinds = ((_list_form, 4), (_initials, 1.5))
