"""Words picked by their length, their first letter, or their place in a text."""

from training.tasks.problem import Problem
from training.tasks.text.layouts import (
    Kinds,
    exact,
    listed_words,
    ordinal,
    quoted,
    say_list,
    say_text,
    size,
    worked,
)
from training.tasks.text.sentences import sentence_words, typed_sentence
from training.wordings import Draw

LENGTHS = (
    "[What is|What's|Which is|Which one is] the {most} word [of|in|among] {items}?",
    "[What is|What's|Which is|Which one is] the {most} [word|one|item]: {items}",
    "[Which|What] word is [the |]{most}: {items}",
    "[Which|What] [word|one] is [the |]{most}[,|] {items}?",
    "~[Find|Give me|Tell me|Name|Say|Return|Pick|Show] the {most} word: {items}",
    "~[Find|Give me|Tell me|Name|Return|Pick] the {most} word [in|of] {items}[.|]",
    "[The |]{most} word [of|in] {items}[?|]",
    "[{most}|{most} word|The {most} word]: {items}",
    "{items}. Which [one |word |]is [the |]{most}?",
    "{items}\n[Which is the {most} word?|{most} word?]",
    "[From|Of|Among] {items}, which is the {most}[ word|]?",
    "[Words|List]: {items}. [Find the {most} one|Which one is the {most}].",
    "Which word has the {letters} letters: {items}",
    "Which of {items} has the {letters} letters?",
    "~[Find|Give me] the word with the {letters} letters: {items}",
)
LONGER = (
    "[Which|Which word|Which one|What] is {longer}[,|:] {a} or {b}?",
    "[Which|Which word] has {more} letters[,|:] {a} or {b}?",
    "Is {a} or {b} {longer}?",
    "Is {a} or {b} the {longer} word?",
    "[{longer}|{longer} word|Which is {longer}]: {a} or {b}[?|]",
    "{a} or {b}[, which|: which|? Which] [is|word is] {longer}?",
    "[What is|What's|whats] the {longer} word, {a} or {b}?",
    "~[Tell me|Say] [which|which word] is {longer}, {a} or {b}.",
    "~Compare {a} and {b}: which [word |]is {longer}?",
    "Of {a} and {b}, which [word |]is {longer}?",
    "~Pick the {longer} word: {a} or {b}",
    "Between {a} and {b}, which is {longer}?",
)
WORDS_OF_TEXTS = (
    "[What is|What's|Which is] the {nth} word [of|in] [this sentence|the sentence|this text]: "
    "{text}",
    "[What is|What's|Which is] the {nth} word [of|in] {text}?",
    "[The |]{nth} word of {text}[?|]",
    "~[Give|Give me|Tell me|Name|Find|Say|Show] the {nth} word [of|in] {text}[.|]",
    "~[Give|Give me|Tell me|Find] the {nth} word [of|in] [this|the] [sentence|text]: {text}",
    "~[Get|Take|Return|Print|Extract] the {nth} word[| of this sentence]: {text}",
    "[Which|What] word [is|comes] {nth} in {text}?",
    "[{nth} word|The {nth} word]: {text}",
    "{text}\n[What is the {nth} word?|{nth} word?|Give me the {nth} word.]",
    "{text} - [what is the {nth} word|{nth} word][?|]",
    "With [which|what] word does the text {verb}: {text}",
    "[Sentence|Text]: {text}\n[The {nth} word?|Which is the {nth} word?]",
    "In {text}[,|] [what|which] is the {nth} word?",
)
STARTS = (
    "[Which|What] [words|of these words|of these] [start|begin] with {letter}: {items}",
    "[Which|What] words [in|of] {items} [start|begin] with {letter}?",
    "~[Find|List|Give me|Show|Name|Keep|Pick] [the|all|all the] words that [start|begin] with "
    "[|the letter ]{letter}: {items}",
    "~[Find|List|Give me|Keep] [the|all] words [in|of] {items} that [start|begin] with "
    "{letter}[.|]",
    "[Words|All words] [starting|beginning] with {letter}: {items}",
    "{items}. Which [ones |words |][start|begin] with {letter}?",
    "{items}\n[Words with {letter}?|Which start with {letter}?]",
    "Which of {items} [start|begin] with [|the letter ]{letter}?",
    "~Filter [|the words |the list ]by first letter {letter}: {items}",
    "[From|Of] {items}, [take|keep|list] those [starting|beginning] with {letter}.",
    "[List|Words]: {items}. Keep those with {letter} at the start.",
    "[Starts with|First letter|Words with] {letter}: {items}",
)


def _longest(draw: Draw) -> Problem:
    most, least = draw.pick((("longest", "most"), ("shortest", "fewest")))
    end = max if most == "longest" else min
    words = listed_words(draw, size(draw, 2, 5))
    while [len(word) for word in words].count(end(map(len, words))) > 1:
        words = listed_words(draw, size(draw, 2, 5))
    shown = words
    if draw.chance(0.2):
        words = list(dict.fromkeys(sentence_words(draw)))
        if [len(word) for word in words].count(end(map(len, words))) > 1:
            return _longest(draw)
        shown = [" ".join(words)]
    request = say_list(draw, LENGTHS, shown, most=most, letters=least)
    work = ", ".join(f"{word} {len(word)}" for word in words)
    result = f"The {most} word is {end(words, key=len)}."
    return worked("list", f"{most}:{':'.join(words)}", request, work, result)


def _longer(draw: Draw) -> Problem:
    a, b = draw.distinct(2)
    while len(a) == len(b):
        a, b = draw.distinct(2)
    longer, more, most = draw.pick(
        (("longer", "more", "longest"), ("shorter", "fewer", "shortest"))
    )
    end = max if longer == "longer" else min
    shown = quoted(draw, "x").split("x")
    slots = {"a": f"{shown[0]}{a}{shown[1]}", "b": f"{shown[0]}{b}{shown[1]}"}
    request = draw.say(LONGER, alone=False, longer=longer, more=more, **slots)
    result = f"The {most} word is {end((a, b), key=len)}."
    return worked("list", f"{most}:{a}:{b}", request, f"{a} {len(a)}, {b} {len(b)}", result)


def _word_of_text(draw: Draw) -> Problem:
    text = typed_sentence(draw)
    words = "".join(letter for letter in text if letter not in ".,!?").split()
    place = draw.pick((0, 0, -1, -1, 1, 1, 2, 3, 4, -2))
    place = place if place < len(words) else 0
    names = {-1: ("last", "last", "final"), -2: ("second to last", "second last")}
    nth = draw.pick(names[place]) if place < 0 else ordinal(draw, place + 1)
    templates = tuple(t for t in WORDS_OF_TEXTS if "{verb}" not in t or place in (0, -1))
    verb = draw.pick(("start", "begin")) if place == 0 else "end"
    request = say_text(draw, templates, text, nth=nth, verb=verb)
    return exact("list", f"word:{place}:{' '.join(words)}", request, words[place])


def _starting(draw: Draw) -> Problem:
    words = listed_words(draw, size(draw, 3, 7))
    letter = draw.pick(words)[0].lower()
    shown = quoted(draw, letter.upper() if draw.chance(0.3) else letter)
    request = say_list(draw, STARTS, words, letter=shown)
    found = [word for word in words if word[0].lower() == letter]
    return exact("list", f"start:{letter}:{':'.join(words)}", request, ", ".join(found))


WORD_KINDS: Kinds = ((_longest, 2), (_longer, 0.7), (_word_of_text, 1.2), (_starting, 1))
