"""The parts of a kind of tool: its names, parameters, requests and results; and values to pass."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from training.tasks.numbers.numbers import spoken
from training.tasks.words import CITIES, COLORS, COMMON, DAYS, FRUITS, LAST_NAMES, MONTHS
from training.wordings import Draw

Value = str | int | float | bool | list[str] | list[int]
Given = Mapping[str, Value]
"""Arguments by the canonical names of their parameters."""

SPOKEN_SHARE = 0.06
LOWER_SHARE = 0.12


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter: the names that it may have, and values.

    One with `phrases` is optional: a request says it by one of them. `options` are the sets of
    values that an enum may have; `say` writes a value as requests do.
    """

    names: tuple[str, ...]
    type: str
    draw: Callable[[Draw], Value]
    phrases: tuple[str, ...] = ()
    options: tuple[Mapping[str, str], ...] = ()
    say: Callable[[Draw, Value], str] | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """Fields that a tool may return, and the sentence that tells of them.

    A tool without fields only returns that it is done. The sentence may name arguments too.
    """

    sentence: str
    fields: Mapping[str, Callable[[Draw, Given], Value]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of tool. Two of the same group are never offered together, nor one with those in it.

    Requests have a slot for every required parameter, and `{more}` for the optional ones. `lists`
    are requests for several calls at once, with a list in the slot of the first parameter. `words`
    fill other slots of requests.
    """

    names: tuple[str, ...]
    descriptions: tuple[str, ...]
    parameters: Mapping[str, Parameter]
    requests: tuple[str, ...]
    results: tuple[Result, ...]
    group: str = ""
    lists: tuple[str, ...] = ()
    words: Mapping[str, Any] = field(default_factory=dict)


def text(
    names: str,
    draw: Callable[[Draw], str],
    *phrases: str,
    say: Callable[[Draw, Value], str] | None = None,
) -> Parameter:
    """A parameter that is a text."""
    return Parameter(tuple(names.split()), "string", draw, phrases, say=say)


def quotable(names: str, draw: Callable[[Draw], str], *phrases: str) -> Parameter:
    """A parameter that is a text, which requests often quote."""
    return text(names, draw, *phrases, say=_quoted)


def whole(names: str, draw: Callable[[Draw], int], *phrases: str) -> Parameter:
    """A parameter that is a whole number, which requests may write in words."""
    return Parameter(tuple(names.split()), "integer", draw, phrases, say=_in_words)


def number(names: str, draw: Callable[[Draw], int | float], *phrases: str) -> Parameter:
    """A parameter that is a number."""
    return Parameter(tuple(names.split()), "number", draw, phrases)


def flag(names: str, *phrases: str) -> Parameter:
    """An optional parameter that requests can only switch on."""
    return Parameter(tuple(names.split()), "boolean", lambda draw: True, phrases)


def switch(names: str) -> Parameter:
    """A required parameter that is on or off."""
    return Parameter(tuple(names.split()), "boolean", lambda draw: draw.chance(0.5), say=_on_or_off)


def enum(names: str, options: Sequence[str], *phrases: str) -> Parameter:
    """A parameter that is one of a few values.

    Each set of values is a text as in `"C=celsius F=fahrenheit"`, with the words of requests after
    `=` if they are others.
    """
    sets = tuple(
        {value: word or value for value, _, word in (one.partition("=") for one in each.split())}
        for each in options
    )
    return Parameter(tuple(names.split()), "string", lambda draw: "", phrases, sets)


def texts(names: str, draw: Callable[[Draw], list[str]]) -> Parameter:
    """A parameter that is a list of texts."""
    return Parameter(tuple(names.split()), "array", draw, say=_listed)


def numbers(names: str, draw: Callable[[Draw], list[int]]) -> Parameter:
    """A parameter that is a list of numbers."""
    return Parameter(tuple(names.split()), "array", draw, say=_listed)


def fields(**drawn: Callable[[Draw, Given], Value]) -> Mapping[str, Callable[[Draw, Given], Value]]:
    """The fields of a result."""
    return drawn


def listed(items: Sequence[object], comma: str = "", last: str = "and") -> str:
    """A list as in "a, b and c"."""
    if len(items) < 2:
        return "".join(map(str, items))
    return f"{', '.join(map(str, items[:-1]))}{comma if len(items) > 2 else ''} {last} {items[-1]}"


def _quoted(draw: Draw, value: Value) -> str:
    mark = draw.pick(("", "", "", '"', '"', "'"))
    return f"{mark}{value}{mark}"


def _in_words(draw: Draw, value: Value) -> str:
    if isinstance(value, int) and 1 <= value <= 30 and draw.chance(SPOKEN_SHARE):
        return spoken(draw, value)
    return str(value)


def _on_or_off(draw: Draw, value: Value) -> str:
    return "on" if value else "off"


def _listed(draw: Draw, value: Value) -> str:
    assert isinstance(value, list)
    return ", ".join(map(str, value)) if draw.chance(0.4) else listed(value, draw.pick(("", ",")))


# Values.

ROOMS = (
    "kitchen|bedroom|living room|bathroom|hallway|garage|office|garden|basement|attic|dining "
    "room|kids room|guest room|balcony|study|cellar|corridor|porch|laundry room|nursery"
).split("|")
LANGUAGES = (
    "French Spanish German Italian Polish Greek Turkish Russian Chinese Japanese Arabic "
    "Portuguese Dutch Swedish Danish Finnish Hindi Korean Czech English"
).split()
CURRENCIES = "USD EUR GBP JPY CHF CAD AUD INR CNY SEK NOK DKK PLN MXN BRL KRW".split()
CURRENCY_WORDS = (
    "dollars euros pounds yen francs rupees pesos kroner zloty yuan won lira reals rubles".split()
)
PHRASES = (
    "good morning|hello|thank you|good night|how are you|see you tomorrow|I love you|where is the "
    "station|the cat sleeps|I am hungry|happy birthday|I need help|my name is Anna|goodbye|what "
    "time is it|I am late|the soup is hot|call me later|welcome home|I am on my way|good luck|the "
    "house is big|see you soon|water please|I like cheese|it is raining|we are friends|sorry"
).split("|")
TOPICS = (
    "lunch|the meeting|the party|our trip|the report|the budget|dinner|the invoice|the new "
    "house|the project|holidays|the weekend|the game|your order|the concert|vacation|the "
    "schedule|work|homework|the contract|hello|a question|the birthday|tickets|the plan|the test "
    "results"
).split("|")
EVENTS = (
    "dentist|team meeting|lunch|dinner|yoga|gym|doctor|piano lesson|birthday "
    "party|haircut|call|math exam|date night|project review|football "
    "practice|breakfast|interview|book club|picnic|concert|wedding|car wash|parents evening|job "
    "interview|barbecue|training|movie night"
).split("|")
CHORES = (
    "buy milk|water the plants|call mom|feed the cat|pay the rent|clean the kitchen|wash the "
    "car|take out the trash|send the report|book a table|walk the dog|do the laundry|buy "
    "eggs|take my pills|fix the bike|read a book|call the bank|pick up the kids|write to "
    "Anna|return the books|iron the shirts|drink water|charge the phone|renew the passport"
).split("|")
QUERIES = (
    "cheap flights|pizza recipes|best laptops|news about space|how to tie a tie|red shoes|history "
    "of Rome|funny cats|python tutorials|vegan restaurants|climate change|used cars|how to bake "
    "bread|hotels in Paris|solar panels|easy piano songs|running shoes|moon landing|how tall is a "
    "giraffe|garden ideas|chess openings|electric bikes|birthday gifts|good books|black holes|how "
    "to cook rice|weather on Mars|dog training|football results|houses for rent"
).split("|")
SONGS = (
    "Blue Moon|Silver Rain|Dancing Stars|Happy Together|Midnight Train|Golden Days|River "
    "Song|Summer Wind|Yellow Bird|Lost in Time|Sweet Dreams|Walking Home|Ocean Eyes|Paper "
    "Moon|Firefly|Winter Waltz|Hello Sunshine|Wild Horses|Morning Light|Country Roads|Moon "
    "River|Yesterday|Let It Snow|Jingle Bells|Stand by Me|Purple Sky|One More "
    "Night|Rainbow|Imagine|Thunder"
).split("|")
RELATIVES = "mom dad grandma grandpa mum granny mother father mommy daddy".split()
MAIL_HOSTS = "example.com mail.com test.org post.net example.org inbox.io home.net".split()


def either_case(draw: Draw, word: str) -> str:
    """A word as listed, or as somebody in a hurry types it."""
    return word.lower() if draw.chance(LOWER_SHARE) else word


def city(draw: Draw) -> str:
    """A city, of those that everybody knows more often."""
    known = draw.chance(0.35)
    return either_case(draw, draw.slot(CITIES[:16] if known else CITIES))


def person(draw: Draw) -> str:
    """A first name, sometimes with a last name."""
    if draw.chance(0.1):
        return draw.slot(RELATIVES)
    last = f" {draw.slot(LAST_NAMES)}" if draw.chance(0.12) else ""
    return either_case(draw, draw.name() + last)


def address(draw: Draw) -> str:
    """An e-mail address."""
    first = draw.name().lower()
    middle = draw.pick(
        ("", "", "", f".{draw.slot(LAST_NAMES).lower()}", str(draw.rng.randint(1, 99)))
    )
    return f"{first}{middle}@{draw.slot(MAIL_HOSTS)}"


def recipient(draw: Draw) -> str:
    """An e-mail address or a person."""
    return address(draw) if draw.chance(0.65) else person(draw)


def date(draw: Draw) -> str:
    """A day as people say it."""
    rng = draw.rng
    day, month = rng.randint(1, 28), rng.randint(1, 12)
    return draw.pick(
        (
            draw.pick(("today", "tomorrow", "tonight", "next week", "next Monday", "this Friday")),
            *(draw.pick(("tomorrow", "today")), draw.pick(DAYS), draw.pick(DAYS)),
            f"{draw.pick(MONTHS)} {day}",
            f"{day} {draw.pick(MONTHS)}",
            f"{rng.randint(2024, 2030)}-{month:02d}-{day:02d}",
        )
    )


def clock(draw: Draw) -> str:
    """A time of the day."""
    hour, minute = draw.rng.randint(0, 23), draw.pick((0, 0, 15, 30, 45, draw.rng.randint(0, 59)))
    short = f"{hour % 12 or 12}{draw.pick((' am', ' pm', 'am', 'pm'))}"
    return draw.pick((f"{hour:02d}:{minute:02d}", f"{hour}:{minute:02d}", short))


def event(draw: Draw) -> str:
    """Something to put in a calendar."""
    if draw.chance(0.2):
        return f"{draw.pick(('meeting', 'lunch', 'call', 'dinner', 'coffee'))} with {draw.name()}"
    return draw.slot(EVENTS)


def query(draw: Draw) -> str:
    """Words that somebody may search for."""
    return (
        draw.slot(QUERIES) if draw.chance(0.6) else " ".join(draw.distinct(draw.pick((1, 2, 2, 3))))
    )


def phrase(draw: Draw) -> str:
    """A short text."""
    return (
        draw.slot(PHRASES) if draw.chance(0.6) else " ".join(draw.distinct(draw.pick((1, 1, 2, 3))))
    )


def topic(draw: Draw) -> str:
    """The subject of a message."""
    return draw.slot(TOPICS) if draw.chance(0.7) else draw.word()


def song(draw: Draw) -> str:
    """The title of a song."""
    if draw.chance(0.6):
        return either_case(draw, draw.slot(SONGS))
    return " ".join(draw.distinct(2)).title()


def symbol(draw: Draw) -> str:
    """A made-up ticker, or the name of a company."""
    if draw.chance(0.15):
        return draw.slot(LAST_NAMES)
    letters = draw.rng.choices("ABCDEFGHIJKLMNOPQRSTUVWXYZ", k=draw.pick((2, 3, 3, 4, 4, 4)))
    return either_case(draw, "".join(letters))


def currency(draw: Draw) -> str:
    """A currency by its code or its name."""
    return (
        either_case(draw, draw.slot(CURRENCIES)) if draw.chance(0.6) else draw.slot(CURRENCY_WORDS)
    )


def groceries(draw: Draw) -> list[str]:
    """Two to four things to buy."""
    return draw.slots(
        (*FRUITS, "milk", "eggs", "bread", "rice", "butter", "tea"), draw.pick((2, 2, 3, 4))
    )


def color(draw: Draw) -> str:
    return draw.slot(COLORS)


def word(draw: Draw) -> str:
    """A word that everybody knows."""
    return draw.slot(COMMON)


def up_to(*limits: int) -> Callable[[Draw], int]:
    """Draw a whole number from 1 to one of the limits."""
    return lambda draw: draw.rng.randint(1, draw.pick(limits))


def one_of(words: str) -> Callable[[Draw], str]:
    """Draw one of a few texts, which `|` separates."""
    options = tuple(words.split("|"))
    return lambda draw: draw.slot(options)


def amount(draw: Draw) -> int | float:
    """A whole or decimal number, as of money."""
    rng = draw.rng
    if rng.random() < 0.25:
        return float(f"{rng.randint(0, 99)}.{rng.choice((5, 5, 25, 75, 99, rng.randint(1, 9)))}")
    return rng.randint(1, rng.choice((9, 20, 99, 100, 500, 1000)))


def code(draw: Draw) -> str:
    """A code as of an order or a flight."""
    rng = draw.rng
    letters = "".join(rng.choices("ABCDEFGHJKLMNPRSTUVWXYZ", k=rng.choice((1, 2, 2, 3))))
    return f"{letters}{draw.pick(('', '', '-'))}{rng.randint(10, rng.choice((99, 999, 9999)))}"


def order_number(draw: Draw) -> str:
    return code(draw) if draw.chance(0.4) else str(draw.rng.randint(100, 99999))


# Fields of results.


def any_number(low: int, high: int) -> Callable[[Draw, Given], Value]:
    """Draw a whole number, whatever the arguments are."""
    return lambda draw, given: draw.rng.randint(low, high)


def any_word(words: str) -> Callable[[Draw, Given], Value]:
    """Draw one of a few texts, whatever the arguments are."""
    drawn = one_of(words)
    return lambda draw, given: drawn(draw)


def any_price(draw: Draw, given: Given) -> Value:
    return amount(draw)
