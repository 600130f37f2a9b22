"""Scenes of passages: people, trips, shopping, events, shops, products, boxes, weather, meals."""

from training.tasks.passages.facts import (
    DRINKS,
    HOBBIES,
    INSTRUMENTS,
    LANGUAGES,
    OWNED,
    PERSON,
    PRODUCTS,
    SPORTS,
    VEHICLES,
    Attribute,
    Scene,
    articled,
    contents,
    numbers,
    people,
    words,
)
from training.tasks.words import CITIES, COLORS, DAYS, MONTHS, with_article
from training.wordings import Draw

BOX_KINDS = "box box box bag jar basket drawer bucket chest crate".split()
GROCERIES = "milk bread cheese rice eggs sugar flour butter coffee tea soap salt honey".split()


def owned(draw: Draw, count: int) -> list[str]:
    """Different things in different colors."""
    things, colors = draw.slots(OWNED, count), draw.slots(COLORS, count)
    if draw.chance(0.5):
        things = things[:1] * count
    return [with_article(f"{color} {thing}") for color, thing in zip(colors, things, strict=True)]


def boxes(draw: Draw, count: int) -> list[str]:
    """Containers of one kind, told apart by color."""
    kind = draw.pick(BOX_KINDS)
    return [f"the {color} {kind}" for color in draw.slots(COLORS, count)]


def purchases(draw: Draw, count: int) -> list[str]:
    """Different goods, with articles where they need them."""
    if draw.chance(0.4):
        return draw.slots(GROCERIES, count)
    return articled(PRODUCTS)(draw, count)


def trains(draw: Draw, count: int) -> list[str]:
    """Trains, buses or flights of one kind, told apart by the city that they go to."""
    kind = draw.pick(("train", "train", "bus", "flight", "ship"))
    return [f"the {kind} to {city}" for city in draw.slots(CITIES, count)]


_MORE_OF_PERSON = {
    "drink": Attribute(
        "{S} drinks {v}.",
        (
            "{S} drinks {v}.",
            "{S} drinks {v} [every morning|every day|in the evening|with friends].",
            "{S} always drinks {v}.",
        ),
        (
            "What does {s} drink?",
            "[Which|What] drink does {s} have?",
            "~[Tell me|Say] what {s} drinks.",
            "{s} drinks what?",
            "[Drink|Beverage] of {s}?",
            "What [is {s} drinking|does {s} always drink]?",
        ),
        words(DRINKS),
        ("Who drinks {v}?",),
        ("Does {s} drink {v}?",),
    ),
    "sport": Attribute(
        "{S} plays {v}.",
        (
            "{S} plays {v}.",
            "{S} plays {v} [every week|on Sundays|after work|very well].",
            "{S} loves to play {v}.",
        ),
        (
            "What does {s} play?",
            "[Which|What] [sport|game] does {s} play?",
            "~[Tell me|Say] what {s} plays.",
            "{s} plays what?",
            "[Sport|Game] of {s}?",
            "What is {s}'s [sport|game]?",
        ),
        words(SPORTS),
        ("Who plays {v}?",),
        ("Does {s} play {v}?",),
    ),
    "instrument": Attribute(
        "{S} plays the {v}.",
        (
            "{S} plays the {v}.",
            "{S} plays the {v} [every evening|in a band|at school|very well].",
            "{S} is learning to play the {v} and plays well.",
        ),
        (
            "[Which|What] instrument does {s} play?",
            "What is {s}'s instrument?",
            "~[Tell me|Say] which instrument {s} plays.",
            "{s} plays [which|what] instrument?",
            "[Instrument|The instrument] of {s}?",
            "What instrument [is|was] {s} playing?",
        ),
        words(INSTRUMENTS),
        ("Who plays the {v}?",),
        ("Does {s} play the {v}?",),
    ),
    "language": Attribute(
        "{S} speaks {v}.",
        (
            "{S} speaks {v}.",
            "{S} speaks {v} [at home|very well|at work|with friends].",
            "{S} can speak {v}.",
        ),
        (
            "[Which|What] language does {s} speak?",
            "What does {s} speak?",
            "~[Tell me|Say] which language {s} speaks.",
            "{s} speaks [what|which language]?",
            "[Language|The language] of {s}?",
            "[Which|What] language can {s} speak?",
        ),
        words(LANGUAGES),
        ("Who [speaks|can speak] {v}?",),
        ("Does {s} speak {v}?", "Can {s} speak {v}?"),
    ),
    "hobby": Attribute(
        "{S} likes {v}.",
        (
            "{S} likes {v}.",
            "{S} loves {v}.",
            "{S} enjoys {v}[ on weekends| a lot| in summer|].",
            "{S}'s hobby is {v}.",
        ),
        (
            "What is {s}'s hobby?",
            "What does {s} [like doing|enjoy doing|love to do|like to do]?",
            "[Which|What] hobby does {s} have?",
            "~[Tell me|Name|Find] {s}'s hobby.",
            "[Hobby|The hobby] of {s}?",
            "What is the hobby of {s}?",
        ),
        words(HOBBIES),
        ("Who likes {v}?", "Who [enjoys|loves] {v}?"),
        ("Does {s} like {v}?", "Does {s} enjoy {v}?"),
    ),
    "things": Attribute(
        "{S} has {v}.",
        (
            "{S} has {v}.",
            "{S} has {v}.",
            "{S} owns {v}.",
            "{S} has got {v}.",
            "{S} [collected|found|bought|got] {v} and has them all.",
        ),
        (
            "How many {h} does {s} have?",
            "How many {h} does {s} own?",
            "~[Tell me|Say] how many {h} {s} has.",
            "{s} has how many {h}?",
            "[Number|Count] of {h} of {s}?",
            "How many {h} has {s} got?",
        ),
        contents,
        ("Who has {v}?", "Who has the {h}?"),
        ("Does {s} have {v}?",),
    ),
    "thing": Attribute(
        "{S}'s {h} is {f}.",
        (
            "{S} has {v}.",
            "{S} has {v}.",
            "{S} bought {v}.",
            "{S}'s {h} is {f}.",
            "The {h} of {s} is {f}.",
            "{S} owns {v}.",
        ),
        (
            "[What|Which] [color|colour] is {s}'s {h}?",
            "What is the [color|colour] of {s}'s {h}?",
            "[What|Which] [color|colour] is the {h} of {s}?",
            "~[Tell me|Find|Name] the color of {s}'s {h}.",
            "[Color|Colour] of {s}'s {h}?",
            "{s}'s {h} is [what|which] [color|colour]?",
            "[Which|What] [color|colour] does {s}'s {h} have?",
        ),
        owned,
        ("Who has {v}?", "Whose {h} is {f}?", "Who has the {b}?"),
        ("Is {s}'s {h} {f}?",),
    ),
    "month": Attribute(
        "{S} was born in {v}.",
        (
            "{S} was born in {v}.",
            "{S}'s birthday is in {v}.",
            "The birthday of {s} is in {v}.",
        ),
        (
            "When was {s} born?",
            "When is {s}'s birthday?",
            "[In which|Which|What] month was {s} born[ in|]?",
            "~[Tell me|Say] when {s} was born.",
            "[Birthday|Month of birth] of {s}?",
            "{s} was born [when|in which month]?",
        ),
        words(MONTHS),
        ("Who was born in {v}?", "Whose birthday is in {v}?"),
        ("Was {s} born in {v}?", "Is {s}'s birthday in {v}?"),
    ),
}
TRIP = {
    "goal": Attribute(
        "{S} went to {v}.",
        (
            "{S} went to {v}.",
            "{S} made a trip to {v}.",
            "{S} traveled to {v}.",
            "{S} visited {v}.",
        ),
        (
            "Where did {s} go?",
            "Where did {s} travel[ to|]?",
            "[Which|What] [city|place] did {s} [visit|go to]?",
            "{s} went where?",
            "~[Tell me|Say] where {s} went.",
            "[Destination|Goal of the trip] of {s}?",
        ),
        words(CITIES),
        ("Who [went|traveled] to {v}?", "Who visited {v}?"),
        ("Did {s} go to {v}?", "Did {s} visit {v}?"),
    ),
    "vehicle": Attribute(
        "{S} went by {v}.",
        ("{S} went by {v}.", "{S} took the {v}.", "{S} traveled by {v}.", "{S} came by {v}."),
        (
            "How did {s} [travel|go|get there]?",
            "What did {s} take[ to get there|]?",
            "[Which|What] [vehicle|means of transport] did {s} use?",
            "{s} went how?",
            "~[Tell me|Say] how {s} traveled.",
            "What did {s} travel by?",
        ),
        words(VEHICLES),
        ("Who [took the|went by|traveled by] {v}?",),
        ("Did {s} go by {v}?", "Did {s} take the {v}?"),
    ),
    "day": Attribute(
        "{S} left on {v}.",
        ("{S} left on {v}.", "{S} set off on {v}.", "{S} started on {v}."),
        (
            "When did {s} [leave|go|set off|start]?",
            "[On which|Which|What] day did {s} [leave|go|start]?",
            "~[Tell me|Say] when {s} left.",
            "{s} left [when|on which day]?",
            "[Day|Date] of {s}'s trip?",
            "When was {s}'s trip?",
        ),
        words(DAYS),
        ("Who [left|went] on {v}?",),
        ("Did {s} leave on {v}?",),
    ),
}
PURCHASE = {
    "thing": Attribute(
        "{S} bought {v}.",
        (
            "{S} bought {v}.",
            "{S} went to the [store|shop|market] to buy {v}.",
            "{S} went shopping and bought {v}.",
            "{S} got {v}[ today| yesterday|].",
        ),
        (
            "What did {s} buy?",
            "What did {s} get[ at the shop|]?",
            "~[Tell me|Say] what {s} bought.",
            "{s} bought what?",
            "[Which|What] thing did {s} buy?",
            "What was bought by {s}?",
        ),
        purchases,
        ("Who bought {v}?", "Who [got|bought] the {b}?"),
        ("Did {s} buy {v}?",),
    ),
    "price": Attribute(
        "{S} paid {v}.",
        ("{S} paid {v}.", "{S} spent {v}."),
        (
            "How much did {s} [pay|spend]?",
            "What did {s} pay?",
            "~[Tell me|Say] how much {s} paid.",
            "{s} paid how much?",
            "How much money did {s} [pay|spend]?",
            "[Price|Amount] that {s} paid?",
        ),
        numbers(2, 99, "{} dollars"),
        ("Who [paid|spent] {v}?",),
        ("Did {s} pay {v}?",),
    ),
}
PEOPLE = Scene(
    people,
    PERSON | _MORE_OF_PERSON,
    {
        ("job", "city"): (
            "{S} is {job} [in|from] {city} and lives there.",
            "My friend {s} is {job} and lives in {city}.",
            "{S} is {job} who lives in {city}.",
            "{S} works as {job} and lives in {city}.",
            "{S}, {job}, lives in {city}.",
            "{S} lives in {city} and works as {job}.",
        ),
        ("age", "city"): (
            "{S} is {age} years old and lives in {city}.",
            "{S} is {age} and lives in {city}.",
            "{S}, {age}, lives in {city}.",
        ),
        ("age", "job"): (
            "{S} is {age} and works as {job}.",
            "{S} is {age} years old and works as {job}.",
            "{S}, {job}, is {age}.",
        ),
        ("city", "pet"): (
            "{S} lives in {city} with {pet}.",
            "{S} has {pet} and lives in {city}.",
            "{S} lives in {city} and has {pet}.",
        ),
        ("age", "city", "job"): (
            "The {age} year old {job_bare} {s} lives in {city}.",
            "{S}, who is {age}, works as {job} in {city} and lives there.",
            "Meet {s}, {job} from {city}, {age} years old.",
            "{S} lives in {city}, is {age} years old and is {job}.",
            "{S} is {age} years old, lives in {city} and works as {job}.",
            "{S}, {age}, lives in {city} and works as {job}.",
        ),
        ("age", "city", "job", "pet"): (
            "{S} is {age} years old, lives in {city}, works as {job} and has {pet}.",
            "{S} is {job} who lives in {city} with {pet}. {S} is {age} years old.",
        ),
        ("city", "food"): ("{S} lives in {city} and eats {food} every day.",),
        ("city", "hobby"): ("{S} lives in {city} and likes {hobby}.",),
        ("job", "hobby"): ("{S} is {job} and likes {hobby}.",),
        ("age", "pet"): ("{S} is {age} and has {pet}.", "{S}, {age}, has {pet}."),
        ("pet", "color"): ("{S} has {pet} and likes the color {color}.",),
        ("job", "food"): ("{S} works as {job} and eats {food} every day.",),
        ("pet", "thing"): ("{S} has {pet} and {thing}.",),
    },
)
TRAVELERS = Scene(
    people,
    TRIP,
    {
        ("goal", "vehicle"): (
            "{S} went to {goal} by {vehicle}.",
            "{S} took the {vehicle} to {goal}.",
            "{S} traveled to {goal} by {vehicle}.",
        ),
        ("goal", "day"): ("{S} went to {goal} on {day}.", "On {day} {s} went to {goal}."),
        ("goal", "vehicle", "day"): (
            "{S} went to {goal} by {vehicle} on {day}.",
            "On {day}, {s} took the {vehicle} to {goal}.",
        ),
        ("vehicle", "day"): ("On {day} {s} left by {vehicle}.", "{S} left by {vehicle} on {day}."),
    },
)
SHOPPERS = Scene(
    people,
    PURCHASE,
    {
        ("thing", "price"): (
            "{S} bought {thing} for {price}.",
            "{S} paid {price} for {thing}.",
            "{S} spent {price} on {thing}.",
        ),
    },
)
