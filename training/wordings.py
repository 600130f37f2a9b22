"""Ways to say a request: templates with alternatives, politeness, and slips of the keyboard.

A template is a sentence with slots and alternatives: `"[What is|What's] {a} + {b}[?|]"`. One that
begins with `~` is an imperative, before which people say `please` or `can you`. Templates and slot
words are split as problems are: by a hash, into those that are trained on, those of validation and
those of the test. So a suite can ask for held-out problems in words that were never trained on.
"""

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise
from random import Random
from typing import TypeVar

from training.rewording import REWORDED_SHARE, reworded
from training.tasks.problem import Split
from training.tasks.words import COMMON, NAMES, OWN_NAMES, lexicon

ItemT = TypeVar("ItemT")

HELD_OUT_PARTS: dict[Split, float] = {"test": 0.12, "validation": 0.08}
FEWEST_TO_SPLIT = 6  # templates of a kind; fewer are trained on as a whole
IMPERATIVE = "~"
ALTERNATIVES = re.compile(r"\[([^\[\]]*)\]")  # the innermost

# Parts that requests begin or end with; held out by the same rule as templates.
BEFORE_IMPERATIVES = (
    *("please", "Please", "pls", "can you", "Can you", "Could you", "could you please"),
    *("can you please", "Would you", "I want you to", "I need you to", "I'd like you to"),
    *("Now", "ok now", "Next,", "Hey,", "hi,", "Hello!", "Go ahead and", "Try to", "Let's"),
    *("Help me", "Your task:", "Task:", "I would like you to", "kindly", "Quickly", "You should"),
    *("Would you mind to", "Just", "I'm asking you to", "Are you able to", "Will you"),
)
BEFORE_QUESTIONS = (
    *("Hey,", "Hi,", "hello,", "So,", "ok,", "Please tell me:", "Quick question:", "Question:"),
    *("Tell me,", "I wonder,", "One more:", "hmm,", "Do you know this:", "Next question:", "Now,"),
    *("Can you tell me,", "Help me out:", "Just asking,", "I have a question:", "Say,", "Well,"),
)
AFTER = (
    *("please", "Please.", "thanks", "Thanks!", "thank you", "pls", "Thank you.", "for me"),
    *("if you can", "Be quick.", "I need it.", "ok?", "now", "right now", "Thanks in advance."),
)
NEIGHBOURS = {a: b for row in ("qwertyuiop", "asdfghjkl", "zxcvbnm") for a, b in pairwise(row)}


class NoHeldOutWords(Exception):
    """Every text of the held-out templates of a list is one of training too."""


def part_of(text: str) -> float:
    """A number in [0, 1) that a text always has."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=4).digest()) / 2**32


@cache
def allowed(options: tuple[str, ...], split: Split) -> tuple[str, ...]:
    """The options that a split may use; each split has at least one if there are enough."""
    if len(options) < FEWEST_TO_SPLIT:
        return options
    order = sorted(options, key=part_of)
    num_test = max(1, round(HELD_OUT_PARTS["test"] * len(order)))
    num_validation = max(1, round(HELD_OUT_PARTS["validation"] * len(order)))
    test, validation = order[:num_test], order[num_test : num_test + num_validation]
    rest = order[num_test + num_validation :]
    return tuple({"test": test, "validation": validation, "train": rest}[split])


@dataclass(slots=True)
class Draw:
    """Random choices for one problem, in the words of one split.

    `said` are the templates that were used. Requests of every split have slips; one that `rewords`
    leaves the templates' words.
    """

    rng: Random
    words: Split = "train"
    rewords: bool = False
    said: list[str] = field(default_factory=list)

    def pick(self, options: Sequence[ItemT]) -> ItemT:
        """One of the options, whatever the split."""
        return self.rng.choice(options)

    def slot(self, options: Sequence[str]) -> str:
        """A slot word that the split may use."""
        return self.rng.choice(allowed(tuple(options), self.words))

    def slots(self, options: Sequence[str], count: int) -> list[str]:
        """Different slot words; those of held-out splits are mixed with others if they are few."""
        own = list(allowed(tuple(options), self.words))
        if len(own) < 2 * count:
            own += [word for word in allowed(tuple(options), "train") if word not in own]
        return self.rng.sample(own, count)

    def word(self) -> str:
        """A common English word, or any."""
        return self.slot(COMMON if self.rng.random() < 0.5 else lexicon())

    def distinct(self, count: int) -> list[str]:
        """Different words."""
        found: dict[str, None] = {}
        while len(found) < count:
            found[self.word()] = None
        return list(found)

    def name(self) -> str:
        """A first name."""
        return self.slot(OWN_NAMES if self.rng.random() < 0.3 else NAMES)

    def chance(self, probability: float) -> bool:
        """True with a probability."""
        return self.rng.random() < probability

    def slipped(self, text: str) -> str:
        """The text of a slot, now and then with a slip; what is in braces stays as it is."""
        return _with_slip(self.rng, text) if self.rng.random() < 0.06 else text

    def say(self, templates: Sequence[str], *, alone: bool = False, **slots: object) -> str:
        """A request in the words of a template; if it is alone, nothing goes around it."""
        template, text = self._worded(tuple(templates))
        self.said.append(template)
        is_imperative = template.startswith(IMPERATIVE)
        text = self.otherwise(text, tuple(templates))
        if not alone:
            text = self._surrounded(text, is_imperative=is_imperative)
        text = self.typed(text)
        return _filled(text, slots)

    def otherwise(self, text: str, templates: tuple[str, ...]) -> str:
        """A template's text, now and then in other words, but never in held-out ones."""
        if not self.rewords or self.rng.random() >= REWORDED_SHARE:
            return text
        other = reworded(self.rng, text)
        return text if plain(other) in held_out_texts(templates) else other

    def _worded(self, templates: tuple[str, ...]) -> tuple[str, str]:
        """A template and one of its texts, which no template of another split has too."""
        options = allowed(templates, self.words)
        while True:
            template = self.rng.choice(options)
            text = expand(self.rng, template.removeprefix(IMPERATIVE))
            if self.words == "train" or len(templates) < FEWEST_TO_SPLIT:
                return template, text
            if plain(text) not in trained_texts(templates):
                return template, text
            if trained_texts(templates).issuperset(map(plain, expansions(template))):
                options = tuple(option for option in options if option != template)
            if not options:
                raise NoHeldOutWords(templates[0])

    def _surrounded(self, text: str, *, is_imperative: bool) -> str:
        """With politeness before or after it."""
        rng = self.rng
        if rng.random() < 0.2:
            before = BEFORE_IMPERATIVES if is_imperative else BEFORE_QUESTIONS
            first = text.split(maxsplit=1)[0]
            # What begins with a slot or an "I" keeps its case.
            if first.isalpha() and not first.isupper():
                text = text[0].lower() + text[1:]
            text = f"{self.slot(before)} {text}"
        if rng.random() < 0.1 and not text.endswith(("}", ":")):
            end = text[-1] if text[-1] in "?.!" else ""
            after = self.slot(AFTER)
            if after[0].islower():
                text = f"{text.removesuffix(end).rstrip()}{rng.choice(('', ','))} {after}{end}"
            else:
                text = f"{text} {after}"
        return text

    def typed(self, text: str) -> str:
        """With case, punctuation and slips as people have; slots stay as they are."""
        rng = self.rng
        if rng.random() < 0.25:
            text = _in_parts(text, str.lower)
        elif rng.random() < 0.02:
            text = _in_parts(text, str.upper)
        if rng.random() < 0.2:
            text = text.rstrip("?.!") or text
        elif rng.random() < 0.03 and text.endswith(("?", ".", "!")):
            text += rng.choice((text[-1], "!"))
        if rng.random() < 0.06:
            text = _with_slip(rng, text)
        return text


def plain(text: str) -> str:
    """The text without case, spaces and punctuation, by which requests are told apart."""
    return "".join(re.findall(r"[\w{}+*/=<>%-]", text.lower()))


@cache
def trained_texts(templates: tuple[str, ...]) -> frozenset[str]:
    """Every text, in its plain form, of the templates that are trained on."""
    trained = allowed(templates, "train")
    return frozenset(plain(text) for template in trained for text in expansions(template))


@cache
def held_out_texts(templates: tuple[str, ...]) -> frozenset[str]:
    """Every text, in its plain form, of the templates that are not trained on."""
    trained = set(allowed(templates, "train"))
    others = [template for template in templates if template not in trained]
    return frozenset(plain(text) for template in others for text in expansions(template))


def expand(rng: Random, template: str) -> str:
    """The template with one of each `[one|other]`, the innermost first."""
    while (found := ALTERNATIVES.search(template)) is not None:
        chosen = rng.choice(found[1].split("|"))
        template = template[: found.start()] + chosen + template[found.end() :]
    return re.sub(r" {2,}", " ", template).strip()


def expansions(template: str) -> set[str]:
    """Every text of a template."""
    texts, done = {template.removeprefix(IMPERATIVE)}, set[str]()
    while texts:
        text = texts.pop()
        found = ALTERNATIVES.search(text)
        if found is None:
            done.add(re.sub(r" {2,}", " ", text).strip())
        else:
            texts |= {
                text[: found.start()] + chosen + text[found.end() :]
                for chosen in found[1].split("|")
            }
    return done


def variants(template: str) -> int:
    """Number of texts of a template."""
    return len(expansions(template))


def _parts(text: str) -> list[str]:
    """Literal text and slots, by turns."""
    return re.split(r"(\{\w+\})", text)


def _in_parts(text: str, change: Callable[[str], str]) -> str:
    return "".join(part if i % 2 else change(part) for i, part in enumerate(_parts(text)))


def _with_slip(rng: Random, text: str) -> str:
    """One slip in a word of at least four letters: swapped, lost, doubled or neighbouring keys."""
    slots = [match.span() for match in re.finditer(r"\{\w+\}", text)]
    words = [
        match
        for match in re.finditer(r"[A-Za-z]{4,}", text)
        if not any(start < match.start() < end for start, end in slots)
    ]
    if not words:
        return text
    word = rng.choice(words)
    at = rng.randrange(word.start() + 1, word.end() - 1)
    match rng.randrange(4):
        case 0:
            return text[:at] + text[at + 1] + text[at] + text[at + 2 :]
        case 1:
            return text[:at] + text[at + 1 :]
        case 2:
            return text[:at] + text[at] + text[at:]
        case _:
            return text[:at] + NEIGHBOURS.get(text[at].lower(), text[at]) + text[at + 1 :]


def _filled(text: str, slots: dict[str, object]) -> str:
    return re.sub(r"\{(\w+)\}", lambda found: str(slots[found[1]]), text)
