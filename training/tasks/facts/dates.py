"""Days, months and seasons: what comes before and after, how many days, which number."""

from training.tasks.facts.closed import closed, typed
from training.tasks.problem import Problem
from training.tasks.text.layouts import CARDINALS, ORDINALS, SHORT_ORDINALS, one_kind
from training.tasks.words import DAYS, MONTHS
from training.wordings import Draw

SEASONS = ["spring", "summer", "autumn", "winter"]
ALL_ORDINALS = [*ORDINALS, "eleventh", "twelfth"]
ALL_SHORT_ORDINALS = [*SHORT_ORDINALS, "11th", "12th"]
LENGTHS = dict(zip(MONTHS, (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31), strict=True))
BESIDE = (
    "[What|Which] {kind} [comes|is] [right |directly |]{side} {name}?",
    "[What is|What's|whats] the {kind} {side} {name}?",
    "[The|the] {kind} {side} {name}[?| is?| is| is...|]",
    "{kind} {side} {name}[?|]",
    "[What|Whats|What's] {side} {name}?",
    "~[Tell|Give] me the {kind} {side} {name}.",
    "~[Name|Say|Write] the {kind} {side} {name}.",
    "{side} {name}[ comes| is|][...|?| which {kind}?]",
    "[Do you know|Can you tell me] [which|what] {kind} comes {side} {name}?",
    "It is {name}. [What|Which] {kind} [comes|is] {side} it?",
    "{name}: [which|what] {kind} [comes|is] {side} it?",
    "[What|Which] {kind} of the {whole} comes {side} {name}?",
    "[I need|gimme|I forgot] the {kind} {side} {name}",
)
TODAY = (
    "[If|When] today is {day}, [what|which] day is {when}?",
    "[If|When] today is {day}, what is {when}?",
    "Today is {day}. [What|Which] day is [it |]{when}?",
    "Today is {day}. {When} is[...| ___| what?|]",
    "It is {day} today. [What|Which] day is {when}?",
    "It's {day}[ today|]. What's {when}?",
    "[What|Which] day is {when} if [today is|it is|it's] {day}[ today|]?",
    "[Suppose|Assume|Say|Let's say] today is {day}. [What|Which] day is {when}?",
    "today = {day}, {when} = [?|...]",
    "Today is {day}, so {when} is[...| ___|]",
    "[Tell me what|What] day {when} is, given that today is {day}.",
    "[I know|I see] it is {day}[ today|]. [Which day is|What is] {when}?",
)
WHEN = {
    1: ("tomorrow", "the next day", "the day after"),
    -1: ("yesterday", "the day before"),
    2: ("the day after tomorrow", "in two days", "in 2 days", "two days later"),
    -2: ("the day before yesterday", "two days ago"),
    3: ("in three days", "in 3 days", "three days later"),
}
MONTH_LENGTH = (
    "How many days [are there |are |]in {month}?",
    "How many days are [there |]in [the month of |]{month}?",
    "How many days does {month} have?",
    "How long is {month}?",
    "[Number of|The number of] days in {month}[?|]",
    "days in {month}[?|]",
    "{month} has how many days?",
    "{month} has [...|___] days[.|?]",
    "[Tell me|Do you know] how many days {month} has.",
    "{month}: how many days?",
    "~[Give|Tell] me the [number of days in|length of] {month}.",
    "[What is|What's] the length of {month}[ in days|]?",
    "[How many days are in|Days in] the month of {month}?",
    "Does {month} have 30 or 31 days?",
    "What is the last [day|date] of {month}, the 28th, 30th or 31st?",
)
NTH_MONTH = (
    "[What|Which] is the {nth} month[ of the year|]?",
    "[What's|whats] the {nth} month[ of the year|]?",
    "[What|Which] month is [number {n}|the {nth}]?",
    "the {nth} month[?| is| of the year?|]",
    "~[Name|Say|Give me|Tell me] the {nth} month[ of the year|].",
    "[Month number|month|Month no.] {n}[?|]",
    "[Which|What] month [comes|is] {nth} in [the|a] year?",
    "[Which|What] month does the number {n} stand for?",
    "{nth} month[ of the year|][?|]",
    "[Do you know|Can you tell me] the {nth} month of the year?",
    "In a date, the month is {n}. Which month is that?",
    "[I need|I want|gimme] the {nth} month",
    "Month {n} [is|is called][...| what?|]",
    "[What|Which] month has the number {n}?",
    "If January is month 1, [which|what] is month {n}?",
)
WHICH_NUMBER = (
    "[What|Which] number is {month}?",
    "[What|Which] month number is {month}?",
    "[What is|What's] the number of the month {month}?",
    "[Which|What] month of the year is {month}[, as a number|]?",
    "{month} is [which|what] month[ of the year|]?",
    "{month} is month number[...| what?| ___|]",
    "[Number of|the number of|Month number of] {month}[?|]",
    "[At what|In which] position in the year is {month}?",
    "~Give me the number of the month {month}.",
    "[How is {month} written|How do I write {month}] as a number?",
    "{month} as a number[?|]",
    "{month} month number[?|]",
    "If January is 1, [what|which number] is {month}?",
    "{month} = [?|...|which number?]",
    "~Tell me the number of {month}.",
    "Which place does {month} have in the year?",
)
WEEKEND = (
    "Is {day} [on|at|part of|in] the weekend?",
    "Is {day} a [weekday|weekend day|workday]?",
    "[Weekday or weekend|Weekend or weekday]: {day}[?|]",
    "Is {day} a weekday or [on the weekend|a weekend day|weekend]?",
    "{day}: weekday or weekend?",
    "Does {day} belong to the weekend?",
    "~Tell me if {day} is [a weekday|on the weekend].",
    "What kind of day is {day}, [a weekday|weekend] or not?",
    "Do people have the weekend on {day}?",
    "[Do you know|Can you tell me] if {day} is a weekday?",
    "Do we have the weekend on {day}?",
    "{day} - [weekend|weekday]?",
    "Is {day} a day of the weekend?",
    "I work on weekdays. Is {day} one?",
    "Is {day} a working day or the weekend?",
)
STEPS = {1: 6.0, -1: 5.0, 2: 2.0, -2: 1.0, 3: 1.0}


def beside(draw: Draw) -> Problem:
    """The day, month or season before or after another."""
    kind, whole, names = draw.rng.choices(
        (("day", "week", DAYS), ("month", "year", MONTHS), ("season", "year", SEASONS)), (5, 5, 1)
    )[0]
    i, step = draw.rng.randrange(len(names)), draw.pick((1, 1, -1))
    side = "after" if step == 1 else "before"
    name, other = names[i], names[(i + step) % len(names)]
    request = draw.say(BESIDE, kind=kind, whole=whole, side=side, name=typed(draw, name))
    answer = f"The {kind} {side} {name} is {other}."
    return closed("date", f"{kind}:{side}:{name}", request, answer, other)


def from_today(draw: Draw) -> Problem:
    """Tomorrow, yesterday or a near day, if today is given."""
    i = draw.rng.randrange(7)
    step = draw.rng.choices(list(STEPS), list(STEPS.values()))[0]
    day, other, when = DAYS[i], DAYS[(i + step) % 7], draw.pick(WHEN[step])
    slots = {"day": typed(draw, day), "when": when, "When": when[0].upper() + when[1:]}
    side = "after" if step > 0 else "before"
    count = CARDINALS[abs(step)]
    start = f"The day {side} {day}" if abs(step) == 1 else f"{count.capitalize()} days {side} {day}"
    name = f"day:{side}:{day}" if abs(step) == 1 else f"day:{step}:{day}"
    return closed(
        "date", name, draw.say(TODAY, alone=False, **slots), f"{start} is {other}.", other
    )


def month_fact(draw: Draw) -> Problem:
    """The length of a month, its number, or the month of a number."""
    i = draw.rng.randrange(12)
    month, kind = MONTHS[i], draw.rng.random()
    if kind < 0.45:
        answer = f"{month} has {LENGTHS[month]} days{', or 29 in a leap year' * (i == 1)}."
        request = draw.say(MONTH_LENGTH, month=typed(draw, month))
        return closed("date", f"length:{month}", request, answer, str(LENGTHS[month]))
    if kind < 0.75:
        nth = draw.pick((ALL_ORDINALS, ALL_ORDINALS, ALL_SHORT_ORDINALS))[i]
        request = draw.say(NTH_MONTH, nth=nth, n=i + 1)
        answer = f"The {ALL_ORDINALS[i]} month is {month}."
        return closed("date", f"month:{i + 1}", request, answer, month)
    request = draw.say(WHICH_NUMBER, month=typed(draw, month))
    return closed("date", f"number:{month}", request, f"{month} is month {i + 1}.", str(i + 1))


def weekend(draw: Draw) -> Problem:
    """The kind of a day: a weekday, or one of the weekend."""
    day = draw.pick(DAYS)
    kind = "on the weekend" if day in DAYS[5:] else "a weekday"
    request = draw.say(WEEKEND, day=typed(draw, day))
    return closed("date", f"weekend:{day}", request, f"{day} is {kind}.")


KINDS = ((beside, 4.0), (from_today, 2.5), (month_fact, 3.0), (weekend, 0.4))


def date(draw: Draw) -> Problem:
    """A question about days, months or seasons."""
    return one_kind(draw, KINDS)
