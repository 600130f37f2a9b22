"""Comparisons of the size of two animals or things."""

from training.tasks.facts.closed import closed
from training.tasks.problem import Problem
from training.tasks.words import with_article
from training.wordings import Draw

BY_SIZE = (
    "ant bee mouse rat rabbit cat fox sheep lion horse elephant whale mountain planet star"
).split()
WHICH = (
    "[Which|What|Who] is {more}, {a} or {b}?",
    "{a} or {b}: [which|what|who] is {more}?",
    "Is {a} or {b} {more}?",
    "[Which|What] one is {more}, {a} or {b}?",
    "{more}: {a} or {b}?",
    "~Tell me [which|what] is {more}, {a} or {b}.",
    "Of {a} and {b}, which is {more}?",
    "~Compare the size of {a} and {b}.",
    "[What|Which] is the {more} one: {a} or {b}?",
    "{a} vs {b}: [which|who] is {more}?",
    "[Do you know|Can you tell me] [which|what] is {more}, {a} or {b}?",
    "~Compare {a} [and|to|with] {b} by size.",
)
WHETHER = (
    "Is {a} {more} than {b}?",
    "Would you say {a} is {more} than {b}?",
    "[Is it true|Is it right|Is it correct] that {a} is {more} than {b}?",
    "{a} is {more} than {b}[, right?|, isn't it?|. Is that right?|?]",
    "[Yes or no|Quiz, yes or no]: {a} is {more} than {b}[.|?]",
    "~Tell me if {a} is {more} than {b}.",
    "[Do you know|Can you tell me] if {a} is {more} than {b}?",
    "I think {a} is {more} than {b}. [Am I right?|Is that right?]",
    "Can {a} be {more} than {b}?",
    "In size, is {a} {more} than {b}?",
)


def size(draw: Draw) -> Problem:
    """The bigger of two things, or a check that one is bigger or smaller."""
    low, high = sorted(draw.rng.sample(range(len(BY_SIZE)), 2))
    names = [with_article(BY_SIZE[low]), with_article(BY_SIZE[high])]
    first = draw.rng.randrange(2)
    bigger = draw.chance(0.65)
    words = ("bigger", "larger") if bigger else ("smaller",)
    slots = {"a": names[first], "b": names[1 - first], "more": draw.pick(words)}
    key = f"bigger:{BY_SIZE[low]}:{BY_SIZE[high]}"
    if draw.chance(0.6):
        request = draw.say(WHICH, alone=False, **slots)
        bigger = bigger or "{more}" not in draw.said[-1]
        one, other = (names[1], names[0]) if bigger else (names[0], names[1])
        answer = f"{one[0].upper()}{one[1:]} is {'bigger' if bigger else 'smaller'} than {other}."
        return closed("nature", key, request, answer)
    holds = (first == 1) == bigger
    fact = f"{names[1]} is bigger than {names[0]}."
    request = draw.say(WHETHER, alone=False, **slots)
    return closed("nature", key, request, f"{'Yes' if holds else 'No'}, {fact}")
