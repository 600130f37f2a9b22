"""Facts that the user told before, what the model says to them, and questions about them."""

from dataclasses import dataclass

from training.tasks.facts.closed import typed
from training.tasks.problem import MEMORISED, Problem, Turn, ask
from training.tasks.talk.recall_kinds import KINDS
from training.tasks.text.layouts import one_kind
from training.tasks.words import ANIMALS, CITIES, COLORS, DAYS, FOODS, JOBS, with_article
from training.wordings import Draw

RELATIVES = (
    "sister brother mother father friend dog cat wife husband son daughter teacher boss neighbor "
    "cousin aunt uncle horse"
).split()
EVENTS = (
    "meeting exam party flight lesson appointment wedding interview concert test trip class"
).split()
OTHER_REPLIES = ("Okay.", "I will remember that.", "Got it.", "Nice!", "Thank you for telling me.")
NOT_TOLD = "You have not told me that."
STARTS = frozenset(
    "My The On At Remember Today Yesterday Keep Memorize Do Here By Just Of People Friends They "
    "You Call It This We Now Right Note".split()
)  # of sentences; other first words are names or an I
BOTH = "Okay, I will remember that."
LAST_SAID = (
    "What did I [just |]say?",
    "What did I [just |]tell you?",
    "~Repeat what I [said|just said|told you].",
    "What was my [last|previous] [message|sentence]?",
    "[Do you|Can you] [remember|recall|repeat] what I [said|just said|told you]?",
    "What have I [just |]said?",
    "~Tell me what I [just |]said.",
    "What did I write[ before|]?",
    "my last message[?|]",
    "What were my [last |exact |]words?",
    "[Which|What] sentence did I write?",
)


@dataclass(frozen=True, slots=True)
class Told:
    """A fact as the user tells it, as the model repeats it, and the question for it."""

    key: str
    told: str
    reply: str
    question: str
    answer: str


def _fact(draw: Draw, kind: str) -> Told:
    number = draw.rng.choice((draw.rng.randint(1, 99), draw.rng.randint(100, 9999)))
    values: dict[str, str] = {
        "name": draw.name(),
        "color": draw.pick(COLORS),
        "city": draw.slot(CITIES),
        "age": str(draw.rng.randint(5, 90)),
        "job": with_article(draw.pick(JOBS)),
        "animal": with_article(draw.pick(ANIMALS)),
        "food": draw.pick(FOODS),
        "number": str(number),
        "word": draw.word(),
        "relative": draw.pick(RELATIVES),
        "event": draw.pick(EVENTS),
        "day": draw.pick(DAYS),
    }
    answer = KINDS[kind].answer.format(**values)
    shown = {key: typed(draw, text) if text.istitle() else text for key, text in values.items()}
    told = draw.say(KINDS[kind].told, alone=draw.chance(0.9), **shown)
    reply = f"Okay, {answer[0].lower()}{answer[1:]}"
    if kind == "name":
        reply = f"Nice to meet you, {values['name']}!"
    question = draw.say(KINDS[kind].asked, alone=False, **shown)
    return Told(f"{kind}:{answer}", told, reply, question, answer)


def _facts(draw: Draw, count: int) -> list[Told]:
    return [_fact(draw, kind) for kind in draw.rng.sample(list(KINDS), count)]


def _told(draw: Draw, fact: Told) -> tuple[Turn, Turn]:
    reply = fact.reply if draw.chance(0.8) else draw.pick(OTHER_REPLIES)
    return Turn("user", fact.told), Turn("assistant", reply)


def told(draw: Draw) -> Problem:
    """A fact that the user tells, or two of them."""
    if draw.chance(0.2):
        one, two = _facts(draw, 2)
        return Problem("recall", (f"told:{one.key} {two.key}",), ask(_joined(draw, one, two)), BOTH)
    (fact,) = _facts(draw, 1)
    return Problem("recall", (f"told:{fact.key}",), ask(fact.told), fact.reply)


def asked(draw: Draw) -> Problem:
    """A question about one of up to three facts that were told in turns before, or just now."""
    facts = _facts(draw, draw.rng.choices((1, 2, 3), (5, 4, 1))[0])
    fact = draw.pick(facts)
    key = f"recall:{fact.key}"
    if len(facts) == 1 and draw.chance(0.3):
        request = f"{_ended(fact.told)}{draw.pick((' ', ' ', chr(10)))}{fact.question}"
        return Problem("recall", (key,), ask(request), fact.answer)
    if len(facts) == 2 and draw.chance(0.5):
        before: tuple[Turn, ...] = (Turn("user", _joined(draw, *facts)), Turn("assistant", BOTH))
    else:
        before = tuple(turn for each in facts for turn in _told(draw, each))
    return Problem("recall", (key,), (*before, Turn("user", fact.question)), fact.answer)


def not_told(draw: Draw) -> Problem:
    """A question about what the user has not told, at first or after another fact."""
    one, two = _facts(draw, 2)
    before = _told(draw, one) if draw.chance(0.5) else ()
    turns = (*before, Turn("user", two.question))
    return Problem("recall", (f"{MEMORISED}:not told",), turns, NOT_TOLD)


def last_said(draw: Draw) -> Problem:
    """A question about the words of the last message."""
    (fact,) = _facts(draw, 1)
    turns = (*_told(draw, fact), Turn("user", draw.say(LAST_SAID)))
    return Problem("recall", (f"said:{fact.key}",), turns, f'You said: "{fact.told}"')


def _ended(text: str) -> str:
    return text if text[-1] in ".!?" else f"{text}."


def _joined(draw: Draw, one: Told, two: Told) -> str:
    if one.told.endswith(".") and draw.chance(0.5):
        return f"{one.told[:-1]} and {_lower(two.told)}"
    return f"{_ended(one.told)} {two.told}"


def _lower(text: str) -> str:
    """A sentence that goes on after another, unless it begins with a name."""
    return text[0].lower() + text[1:] if text.split()[0] in STARTS else text


SHARES = ((asked, 5.0), (told, 2.5), (not_told, 0.8), (last_said, 0.6))


def recall(draw: Draw) -> Problem:
    """A fact about the user that is told, or asked for."""
    return one_kind(draw, SHARES)
