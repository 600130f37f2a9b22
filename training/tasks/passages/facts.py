"""Kinds of facts that passages state: their sentences, the questions on them, the answers.

In the sentences `{S}` is the subject (`{s}` inside a sentence), `{v}` the value, `{b}` the value
without its article, `{f}` the first and `{h}` the last word of that.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from training.tasks.words import (
    ANIMALS,
    CITIES,
    COLORS,
    FOODS,
    ITEMS,
    JOBS,
    with_article,
)
from training.wordings import Draw

Values = Callable[[Draw, int], list[str]]

PETS = (*ANIMALS, "puppy", "kitten", "guinea pig", "goldfish", "pony", "canary", "rat", "spider")
DRINKS = "tea coffee milk water juice cocoa lemonade cola soda cider".split()
SPORTS = "tennis football soccer chess golf hockey rugby basketball volleyball baseball".split()
INSTRUMENTS = "piano guitar violin flute drums trumpet cello harp organ clarinet".split()
LANGUAGES = "French German Spanish Italian Polish Greek Dutch Turkish Arabic Korean".split()
HOBBIES = (
    "swimming reading dancing cooking painting singing fishing hiking running skiing cycling "
    "drawing knitting gardening"
).split()
VEHICLES = "train bus car plane bike ship ferry taxi boat tram".split()
OWNED = "car bike house coat bag hat umbrella boat scarf jacket phone door shirt dress".split()
EVENTS = (
    "meeting concert party lesson lecture match dinner exam wedding film play workshop show "
    "interview ceremony conference class game rehearsal picnic"
).split()
SHOPS = (
    "bakery museum library shop store bank pool zoo pharmacy market office gym restaurant cafe "
    "school park theater supermarket"
).split()
PRODUCTS = (
    "lamp chair table book shirt bag phone clock hat coat bike ball kite cup ring ticket pen toy "
    "cake sofa desk camera guitar jacket watch vase mirror blanket"
).split()
LOST_THINGS = (
    "key phone book wallet ball cat map letter ring pen bag umbrella cup ticket camera hat"
).split()
SPOTS = (
    "on the table",
    "under the bed",
    "in the kitchen",
    "in the garden",
    "behind the door",
    "on the shelf",
    "in the drawer",
    "in the car",
    "next to the lamp",
    "under the sofa",
    "on the roof",
    "in the box",
    "near the window",
    "in the garage",
    "behind the tree",
    "on the chair",
)
PLACES = (
    "the park",
    "the library",
    "the town hall",
    "the school",
    "the main hall",
    "the garden",
    "the old church",
    "the museum",
    "the cafe",
    "the gym",
    "the office",
    "the kitchen",
    "the theater",
    "the hotel",
)
SKIES = "sunny rainy cloudy windy snowy foggy stormy dry humid icy misty".split()
ROOM_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class Attribute:
    """A property that subjects have, in all its sentences."""

    answer: str
    statements: tuple[str, ...]
    questions: tuple[str, ...]
    values: Values
    whose: tuple[str, ...] = ()  # for the subject that has a value
    doubts: tuple[str, ...] = ()  # to be answered by yes or no


@dataclass(frozen=True, slots=True)
class Scene:
    """Subjects of one kind with the properties that they may have.

    `joined` sentences state several properties at once.
    """

    subjects: Values
    attributes: Mapping[str, Attribute]
    joined: Mapping[tuple[str, ...], tuple[str, ...]] = field(default_factory=dict)


def words(options: list[str] | tuple[str, ...], form: str = "{}") -> Values:
    """Different slot words in a form."""
    return lambda draw, count: [form.format(word) for word in draw.slots(options, count)]


def numbers(low: int, high: int, form: str = "{}") -> Values:
    """Different numbers in a form."""
    return lambda draw, count: [
        form.format(number) for number in draw.rng.sample(range(low, high + 1), count)
    ]


def articled(options: list[str] | tuple[str, ...]) -> Values:
    """Different slot words after their articles."""
    return lambda draw, count: [with_article(word) for word in draw.slots(options, count)]


def people(draw: Draw, count: int) -> list[str]:
    """Different first names."""
    found: dict[str, None] = {}
    while len(found) < count:
        found[draw.name()] = None
    return list(found)


def times(draw: Draw, count: int) -> list[str]:
    """Different times of day, all written alike."""
    hours = draw.rng.sample(range(1, 12), count)
    match draw.rng.randrange(3):
        case 0:
            return [f"{hour} {'am' if hour > 7 else 'pm'}" for hour in hours]
        case 1:
            return [f"{hour + 7}:{draw.pick(('00', '15', '30', '45'))}" for hour in hours]
        case _:
            return [f"{hour} o'clock" for hour in hours]


def rooms(draw: Draw, count: int) -> list[str]:
    """Different rooms or other places, with their prepositions."""
    if draw.chance(ROOM_SHARE):
        return numbers(1, 40, "in room {}")(draw, count)
    return words(PLACES, "in {}")(draw, count)


def contents(draw: Draw, count: int) -> list[str]:
    """Different numbers of things."""
    return [
        f"{number} {item}"
        for number, item in zip(
            draw.rng.sample(range(2, draw.pick((15, 15, 99))), count),
            draw.slots(ITEMS, count),
            strict=True,
        )
    ]


PERSON = {
    "city": Attribute(
        "{S} lives in {v}.",
        (
            "{S} lives in {v}.",
            "{S} lives in {v}.",
            "{S} lives in {v} [now|with a friend|near the station|with a cat].",
            "{S} has lived in {v} for [years|two years|a long time].",
            "{S} moved to {v} [last year|in May|long ago|] and lives there.",
            "The home of {s} is in {v}.",
            "{S} has a [flat|house|small house|home] in {v}.",
            "{S}'s [home|house|flat] is in {v}.",
        ),
        (
            "Where does {s} live?",
            "[In which|Which|What] [city|town] does {s} live in?",
            "Where is {s}'s [home|house]?",
            "~[Tell me|Say] where {s} lives.",
            "{s} lives where?",
            "{s} lives in [which|what] [city|town|place]?",
            "[Which|What] is the home [town|city] of {s}?",
            "Where [can I find|could I visit] {s}?",
            "[Which|What] [city|place] is {s} living in?",
            "[Place|City|Home|Town] of {s}?",
            "What does the [text|passage] say about where {s} lives?",
            "~[Name|Give me|Tell me|Find] the [city|town] [of {s}|where {s} lives].",
        ),
        words(CITIES),
        ("Who lives in {v}?", "[Who|Which person] is at home in {v}?", "Whose home is in {v}?"),
        ("Does {s} live in {v}?", "Is {s}'s home in {v}?", "Is {v} the [home|city] of {s}?"),
    ),
    "job": Attribute(
        "{S} works as {v}.",
        (
            "{S} works as {v}.",
            "{S} works as {v}.",
            "{S} is {v}.",
            "{S} is {v} [by trade|by profession|at work].",
            "{S} has worked as {v} for [years|a long time|two years].",
            "{S} earns money as {v}.",
            "{S} became {v} [last year|in June|after school].",
            "{S} has a job as {v}.",
        ),
        (
            "What is the job of {s}?",
            "What is {s}'s [job|profession|occupation]?",
            "What does {s} do[ for a living| for work|]?",
            "What does {s} work as?",
            "[Which|What] job does {s} have?",
            "~[Tell me|Find|Give me|Name] [the job of {s}|{s}'s job].",
            "{s} works as what?",
            "[Job|Profession|Occupation] of {s}?",
            "How does {s} [earn money|make a living]?",
            "What is {s} by [profession|trade]?",
            "What [kind of |]work does {s} do?",
            "~[Say|Tell me] what {s} does[ for a living| for work|].",
        ),
        articled(JOBS),
        ("Who works as {v}?", "Who is [the|a] {b}?", "Who is {v}?"),
        ("Is {s} {v}?", "Does {s} work as {v}?", "Is {s}'s job {b}?"),
    ),
    "color": Attribute(
        "{S} likes the color {v}.",
        (
            "{S} likes the [color|colour] {v}.",
            "{S}'s favorite color is {v}.",
            "{S}'s favourite colour is {v}.",
            "The favorite color of {s} is {v}.",
            "{S} loves the color {v}.",
            "{S} likes {v} best of all colors.",
        ),
        (
            "Which [color|colour] does {s} like?",
            "What [color|colour] does {s} like[ best| most|]?",
            "What is {s}'s [favorite color|favourite colour]?",
            "What is the [favorite color|favourite colour] of {s}?",
            "~[Tell me|Find|Give me|Name] {s}'s favorite color.",
            "~[Tell me|Say] which color {s} likes.",
            "[Favorite color|Favourite colour|Color] of {s}?",
            "{s} likes [what|which] [color|colour]?",
            "[Which|What] [color|colour] is {s}'s favorite?",
            "[Which|What] [color|colour] does {s} love?",
        ),
        words(COLORS),
        ("Who likes the [color|colour] {v}?", "Who likes {v}?", "Whose favorite color is {v}?"),
        ("Does {s} like the [color|colour] {v}?", "Is {v} {s}'s [favorite color|favorite]?"),
    ),
    "pet": Attribute(
        "{S} has {v}.",
        (
            "{S} has {v}.",
            "{S} has {v} [at home|as a pet|too].",
            "{S} owns {v}.",
            "{S} keeps {v}.",
            "{S}'s pet is {v}.",
            "{S} got {v} for [a birthday|Christmas].",
            "The pet of {s} is {v}.",
        ),
        (
            "Which animal does {s} have?",
            "What [pet|animal|kind of pet|kind of animal] does {s} [have|own|keep]?",
            "What is {s}'s pet?",
            "What is the pet of {s}?",
            "~[Tell me|Find|Name] {s}'s pet.",
            "~[Tell me|Say] [which|what] [pet|animal] {s} has.",
            "[Pet|Animal] of {s}?",
            "{s} has [what|which] [pet|animal]?",
            "[Which|What] [pet|animal] [lives with|belongs to] {s}?",
            "What animal is {s}'s pet?",
        ),
        articled(PETS),
        ("Who has {v}?", "Who [owns|keeps] {v}?", "Whose pet is {v}?", "Who has the {b}?"),
        ("Does {s} have {v}?", "Does {s} own {v}?", "Is {s}'s pet {v}?"),
    ),
    "food": Attribute(
        "{S} eats {v}.",
        (
            "{S} eats {v} every day.",
            "{S} eats {v} [for lunch|for dinner|for breakfast|at noon|on Sundays].",
            "{S} always eats {v}.",
            "{S} eats {v}.",
            "{S} often eats {v}[ at home| at work|].",
        ),
        (
            "What does {s} eat?",
            "[Which|What] [food|meal|dish] does {s} eat?",
            "~[Tell me|Say] what {s} eats.",
            "{s} eats what?",
            "What is eaten by {s}?",
            "What does {s} [usually|often|always|like to] eat?",
            "What is the food of {s}?",
            "[Food|Meal] of {s}?",
            "What [is {s} eating|does {s} have to eat]?",
            "~[Name|Find|Give me] the food [of {s}|that {s} eats].",
        ),
        words(FOODS),
        ("Who eats {v}?", "[Which person|Who of them] eats {v}?"),
        ("Does {s} eat {v}?", "Is {v} eaten by {s}?"),
    ),
    "age": Attribute(
        "{S} is {v} years old.",
        (
            "{S} is {v} years old.",
            "{S} is {v}.",
            "{S} is {v} years of age.",
            "{S} turned {v} [last week|in May|today|yesterday].",
            "The age of {s} is {v}.",
            "{S} has just turned {v}.",
        ),
        (
            "How old is {s}?",
            "What is {s}'s age?",
            "What is the age of {s}?",
            "~[Tell me|Find|Give me] [{s}'s age|the age of {s}].",
            "~[Tell me|Say] how old {s} is.",
            "[Age|The age] of {s}?",
            "{s} is how old?",
            "How many years old is {s}?",
            "What age is {s}?",
            "What is the [age|number of years] of {s}?",
        ),
        numbers(4, 90),
        ("Who is {v}[ years old|]?", "[Which person|Who of them] is {v} years old?"),
        ("Is {s} {v} years old?", "Is {s} {v}?", "Is {s}'s age {v}?"),
    ),
}
