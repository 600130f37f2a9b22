"""Everyday sentences of who did it, where, when and why, and questions: trained on, not counted.

Answers are words of the text, as a reader would point at them.
"""

from collections.abc import Callable
from dataclasses import dataclass

from training.tasks.passages.facts import people
from training.tasks.passages.frames import BARE, QUESTION_FIRST
from training.tasks.passages.happening_words import (
    COMPANY,
    COUNTED,
    DATES,
    DONE,
    GOALS,
    MADE,
    PEOPLE,
    PLACES,
    REASONS,
    TIMES,
    WENT,
)
from training.tasks.passages.lookup import UNKNOWN, capital
from training.tasks.problem import PRIMITIVE, Problem, ask
from training.tasks.text.layouts import quoted
from training.wordings import Draw, expand

UNKNOWN_SHARE = 0.06
NEWS = (
    "[Text|Note|Story|Mail|News|Message]: {p}\n[Q: |Question: |]{q}",
    "[Hi|Hello|Dear] [team|all|{x}|everyone], {p} [Regards|Best|Cheers|Thanks], {y}\n{q}",
    "[here's|this is|I got] [a note|an email|a message|a text] from [my {k}|{x}]: {p} {q}",
    "[{x}|my {k}] [sent|wrote] [me |]this: {p} {q}",
    "[Quick|short|one] [question|one] about this[ text| email| note|]: {p} [-|so] {q}",
    "[Read|Look at|Take] this[ text|]: {p} [Question: |Then tell me: |Now: |]{q}",
    "From the text: {p} {q}",
    "{p} From [the text|this]: {q}",
    "{p} [I want to know:|Tell me:|So:|Now,|Quick question:] {q}",
)


@dataclass(frozen=True, slots=True)
class Happening:
    """A sentence by its parts; `asked` are questions for parts, with the words that answer them."""

    text: str
    asked: tuple[tuple[str, str], ...]
    spare: tuple[str, ...]  # questions that the sentence leaves open


def _subject(draw: Draw) -> str:
    if draw.chance(0.6):
        return draw.name()
    return draw.pick(PEOPLE)


def did(draw: Draw) -> Happening:
    """Somebody did something to a thing: who, what, where, when, why, with whom, how many."""
    past, base, things = draw.pick(DONE)
    subject, number = _subject(draw), draw.rng.randint(2, 900)
    is_counted = draw.chance(0.2)
    counted = draw.pick(COUNTED)
    thing = f"{number} {counted}" if is_counted else draw.pick(things)
    asked = [
        (f"who {past} {thing}?", subject),
        (f"what did {subject} {base}?", thing),
        (f"what was it that {subject} {past}?", thing),
        (f"tell me who {past} {thing}.", subject),
        (f"{subject} {past} what?", thing),
    ]
    if is_counted:
        asked += [(f"how many {counted} did {subject} {base}?", str(number))] * 3
    return _with_more(draw, subject, f"{past} {thing}", f"{base} {thing}", asked)


def went(draw: Draw) -> Happening:
    """Somebody went somewhere or stayed: who, where, and the rest."""
    past, base = draw.pick(WENT)
    subject, goal = _subject(draw), draw.pick(GOALS)
    asked = [
        (f"where did {subject} {base}?", goal),
        (f"where did {subject} {base} {goal.split()[0]}?", goal),
        (f"who {past} {goal}?", subject),
        (f"{subject} {past} where?", goal),
        (f"which place did {subject} {base} {goal.split()[0]}?", goal),
    ]
    return _with_more(draw, subject, f"{past} {goal}", f"{base} {goal}", asked, has_place=True)


def _with_more(
    draw: Draw,
    subject: str,
    past: str,
    base: str,
    asked: list[tuple[str, str]],
    *,
    has_place: bool = False,
) -> Happening:
    """The sentence of a subject and what it did, with some of place, time, company and reason."""
    start, end, spare = "", "", []
    wheres = [f"where did {subject} {base}?", f"in which place did {subject} {base}?"]
    whens = [f"when did {subject} {base}?", f"at what time did {subject} {base}?"]
    whys = [f"why did {subject} {base}?", f"what is the reason that {subject} {past}?"]
    if not has_place:
        if draw.chance(0.45):
            place = draw.pick(PLACES)
            end += f" {place}"
            asked += [(where, place) for where in wheres]
        else:
            spare += wheres
    if draw.chance(0.25):
        company = draw.pick(COMPANY)
        end += f" with {company}"
        asked += [(f"who did {subject} {base} with?", company)]
        asked += [(f"with whom did {subject} {base}?", company)]
    if draw.chance(0.5):
        time = draw.pick((*TIMES, *DATES)).format(
            year=draw.rng.randint(1900, 2025), day=draw.rng.randint(1, 28), hour=_hour(draw)
        )
        asked += [(when, time) for when in whens]
        asked += [(f"{subject} {past} when?", time)]
        if draw.chance(0.3):
            start = f"{time}{draw.pick((', ', ' '))}"
        else:
            end += f" {time}"
    else:
        spare += whens
    if draw.chance(0.35):
        reason = draw.pick(REASONS).format(x=draw.name())
        asked += [(why, f"because {reason}") for why in whys] * 2
        if not start and draw.chance(0.25):
            start = f"{reason}, so "
        else:
            end += f"{draw.pick((' because', ' because', ', because', ' since', ', as'))} {reason}"
    else:
        spare += whys
    text = f"{start}{subject} {past}{end}"
    return Happening(f"{capital(text).removesuffix('.')}.", tuple(asked), tuple(spare))


def made(draw: Draw) -> Happening:
    """A thing that was built, painted or written by somebody: what, by whom, when."""
    past, base, things = draw.pick(MADE)
    subject, thing = _subject(draw), f"the {draw.pick(things)}"
    year = draw.pick(("in {}", "in {}", "back in {}")).format(draw.rng.randint(1300, 2024))
    has_year, was_asked = draw.chance(0.7), f"who {past} {thing}?"
    text = f"{capital(thing)} was {past} by {subject}{f' {year}' if has_year else ''}."
    asked = [(was_asked, subject), (f"by whom was {thing} {past}?", subject)]
    asked += [(f"what was {past} by {subject}?", thing)]
    whens = [f"when was {thing} {past}?", f"in which year did {subject} {base} {thing}?"]
    if has_year:
        asked += [(when, year) for when in whens]
    spare = [f"why was {thing} {past}?", *(() if has_year else whens)]
    return Happening(text, tuple(asked), tuple(spare))


def _hour(draw: Draw) -> str:
    hour, half = draw.rng.randint(1, 12), draw.pick(("am", "pm", "a.m.", "p.m."))
    return draw.pick((f"{hour} {half}", f"{hour}:{draw.pick(('15', '30', '45'))}", f"{hour}{half}"))


KINDS: tuple[tuple[Callable[[Draw], Happening], float], ...] = ((did, 6), (went, 2.5), (made, 1.5))


def happening(draw: Draw) -> Problem:
    """A question on one of one to four sentences; now and then one that they leave open."""
    kinds, weights = zip(*KINDS, strict=True)
    count = draw.pick((1, 2, 2, 3, 3, 4))
    found = _told_apart(draw, draw.rng.choices(kinds, weights, k=count))
    one = draw.pick(found)
    if one.spare and draw.chance(UNKNOWN_SHARE):
        question, answer = draw.pick(one.spare), UNKNOWN
    else:
        question, words = draw.pick(one.asked)
        answer = f"{capital(words).removesuffix('.')}."
    passage = " ".join(each.text for each in found)
    request = framed(draw, passage, draw.typed(question))
    return Problem("happening", (f"{PRIMITIVE}:happening",), ask(request), answer)


def _told_apart(draw: Draw, kinds: list[Callable[[Draw], Happening]]) -> list[Happening]:
    """A happening of each kind, no two of which answer the same question."""
    while True:
        found = [kind(draw) for kind in kinds]
        questions = [{question for question, _ in one.asked} | {*one.spare} for one in found]
        if len(set().union(*questions)) == sum(map(len, questions)):
            return found


def framed(draw: Draw, passage: str, question: str) -> str:
    """Passage and question as people put them together."""
    if draw.chance(0.55):
        return draw.pick(BARE).format(p=passage, q=question)
    if draw.chance(0.25):
        return draw.pick(QUESTION_FIRST).format(p=passage, q=question)
    x, y = people(draw, 2)
    shown = quoted(draw, passage) if draw.chance(0.5) else passage
    form = expand(draw.rng, draw.pick(NEWS))
    return form.format(p=shown, q=question, x=x, y=y, k=draw.pick(COMPANY).split()[-1])
