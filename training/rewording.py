"""Literal words of a request said otherwise: light ones left out, others by words that mean them.

A list of templates is finite, and a model that trains on it for long learns the templates. Words
that change by chance leave it the words that matter.
"""

import re
from random import Random

REWORDED_SHARE = 0.35  # of the requests of training
DROPPED, REPLACED = 0.2, 0.5  # shares of the words that may be
SLOT = re.compile(r"(\{\w+\})")

LIGHT = (
    *("the", "a", "an", "this", "these", "following", "given", "me", "my", "please", "all", "some"),
    *("of", "that", "just", "now", "here", "it", "do", "does", "is", "are", "for me", "can you"),
)
ALIKE = (  # each for each
    ("what is", "what's", "whats", "what would be", "wats"),
    ("give me", "gimme", "show me", "let me have", "hand me"),
    ("calculate", "compute", "work out", "figure out", "evaluate"),
    ("remove", "delete", "take out", "erase", "get rid of", "throw out"),
    ("convert", "transform"),
    ("create", "generate", "build", "make up", "come up with"),
    ("fix", "repair", "clean up"),
    ("sort", "arrange", "organize"),
    ("alphabetically", "in alphabetical order", "from a to z", "in abc order", "by alphabet"),
    ("backwards", "in reverse", "the other way round", "back to front"),
    ("biggest", "largest", "greatest"),
    ("smallest", "tiniest"),
    ("bigger", "larger"),
    ("letters", "characters", "chars"),
    ("uppercase", "upper case", "capitals", "capital letters", "all caps"),
    ("lowercase", "lower case", "small letters"),
    ("duplicates", "repeats", "doubles", "repeated ones"),
    ("function", "func"),
    ("sentence", "phrase"),
    ("every", "each"),
    ("need", "want"),
    ("repeat", "copy"),
    ("altogether", "in total", "in all", "all together"),
    ("how many", "what number of"),
    ("favorite", "favourite"),
    ("color", "colour"),
    ("kids", "children"),
    ("pick", "choose", "select"),
)
ONE_WAY = {  # the other words mean more
    **{"which": ("what",), "numbers": ("values", "figures"), "text": ("line", "phrase")},
    **{"you": ("u",), "your": ("ur",), "with": ("w/",), "and": ("&",), "because": ("cause",)},
    **{"please": ("plz", "pls"), "i would like": ("i'd like",), "want to": ("wanna",)},
    **{"python": ("py",), "question": ("problem",), "are": ("r",), "about": ("abt",)},
    **{"replace": ("swap", "change"), "explain": ("tell me about", "describe")},
    **{"highest": ("biggest", "top"), "lowest": ("smallest",), "items": ("things", "entries")},
    **{"mistake": ("error", "problem"), "remaining": ("left",), "show me": ("tell me",)},
    **{"ascending": ("increasing", "going up"), "descending": ("decreasing", "going down")},
    **{"would like": ("want",), "how much": ("how many",), "short": ("brief", "little")},
    **{"summarize": ("sum up",)},  # numbers are summed up, too
}


def _table() -> dict[str, tuple[str, ...]]:
    table = dict(ONE_WAY)
    for group in ALIKE:
        for word in group:
            others = tuple(other for other in group if other != word)
            table[word] = (*table.get(word, ()), *others)
    return table


TABLE = _table()
NOT_BEFORE = {"in all": "(?! caps| rows)"}  # where words mean something else
LONGEST_FIRST = sorted({*TABLE, *LIGHT}, key=len, reverse=True)
WORDS = re.compile(
    rf"(?<![\w'])({'|'.join(w + NOT_BEFORE.get(w, '') for w in LONGEST_FIRST)})(?![\w'])", re.I
)


def reworded(rng: Random, text: str) -> str:
    """The text with some words left out or replaced; slots and the other words stay."""
    parts = SLOT.split(text)
    changed = [part if i % 2 else _changed(rng, part) for i, part in enumerate(parts)]
    return re.sub(r" {2,}", " ", "".join(changed)).strip() or text


def _changed(rng: Random, text: str) -> str:
    def other(found: re.Match[str]) -> str:
        word = found[0]
        known = word.lower()
        if known in TABLE and rng.random() < REPLACED:
            chosen = rng.choice(TABLE[known])
            return chosen[0].upper() + chosen[1:] if word[0].isupper() else chosen
        return "" if known in LIGHT and rng.random() < DROPPED else word

    return WORDS.sub(other, text)
