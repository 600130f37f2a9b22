"""Scenes of passages: who is in which room, gifts, friends, old buildings, animals that rest."""

from training.tasks.passages.facts import (
    LOST_THINGS,
    Attribute,
    Scene,
    numbers,
    people,
    words,
)
from training.tasks.words import ANIMALS, CITIES
from training.wordings import Draw

ROOMS = (
    "kitchen garden bathroom bedroom hallway office garage cellar attic library classroom park "
    "school station"
).split()
KIN = "friend teacher neighbor cousin boss doctor coach colleague partner lawyer student".split()
BUILDINGS = (
    "bridge tower castle church palace school library museum tunnel stadium temple station hotel "
    "lighthouse factory"
).split()
BEDS = (
    "on the mat",
    "on the sofa",
    "under the table",
    "in the basket",
    "on the bed",
    "by the fire",
    "in the barn",
    "under the tree",
    "on the roof",
    "in the box",
    "near the door",
    "on the carpet",
    "behind the house",
)


def gifts(draw: Draw, count: int) -> list[str]:
    """A person and a thing: `Mary the book`."""
    things = draw.slots(LOST_THINGS, count)
    return [f"{name} the {thing}" for name, thing in zip(people(draw, count), things, strict=True)]


def kin(draw: Draw, count: int) -> list[str]:
    """A person's friend, teacher and so on."""
    roles = draw.slots(KIN, count)
    return [f"{name}'s {role}" for name, role in zip(people(draw, count), roles, strict=True)]


ROOM = Scene(
    people,
    {
        "room": Attribute(
            "{S} is in {v}.",
            (
                "{S} is in {v}.",
                "{S} went to {v}.",
                "{S} walked to {v}.",
                "{S} moved to {v}.",
                "{S} [ran|went back|hurried] to {v}.",
                "{S} [sits|waits|works|stands] in {v}.",
            ),
            (
                "Where is {s}?",
                "Where is {s} now?",
                "[Which|What] [room|place] is {s} in?",
                "[In which|In what] [room|place] is {s}?",
                "{s} is where?",
                "~[Tell me|Say] where {s} is.",
                "~[Find|Locate] {s}.",
                "[Location|Place] of {s}?",
                "Where can I find {s}?",
                "Where did {s} go?",
            ),
            words(ROOMS, "the {}"),
            ("Who is in {v}?", "Who went to {v}?", "[Which person|Who] can be found in {v}?"),
            ("Is {s} in {v}?", "Did {s} go to {v}?"),
        ),
    },
)
GIFT = Scene(
    people,
    {
        "gift": Attribute(
            "{S} gave {v}.",
            (
                "{S} gave {v}.",
                "{S} gave the {h} to {f}.",
                "{S} handed the {h} to {f}.",
                "{S} handed {v}.",
                "{S} passed the {h} to {f}.",
                "{S} [sent|brought] {v}.",
            ),
            (
                "What did {s} give[ to|] {f}?",
                "What did {s} give away?",
                "Who did {s} give the {h} to?",
                "To whom did {s} give the {h}?",
                "Who [got|received|has] the {h}?",
                "Who got [something|a gift] from {s}?",
                "What did {f} [get|receive][ from {s}|]?",
                "~[Tell me|Say] who [got|received] the {h}.",
                "~[Tell me|Say] what {s} gave to {f}.",
                "{s} gave {f} what?",
                "{s} gave the {h} to whom?",
            ),
            gifts,
            ("Who gave {v}?", "Who gave the {h} to {f}?", "Who gave [something|a gift] to {f}?"),
            ("Did {s} give {v}?",),
        ),
    },
)
FRIEND = Scene(
    people,
    {
        "kin": Attribute(
            "{S} is {v}.",
            (
                "{S} is {v}.",
                "{S} has been {v} for [years|a long time].",
                "{S} became {v}[ last year| in May|].",
                "{v} is {s}.",
                "{v} is called {s}.",
                "The name of {v} is {s}.",
            ),
            (
                "Who is {s}?",
                "~[Tell me|Say] who {s} is.",
                "Whose {h} is {s}?",
                "{s} is whose {h}?",
                "What do we know about {s}?",
                "What does the text say about {s}?",
            ),
            kin,
            ("Who is {v}?", "What is the name of {v}?", "What is {v} called?"),
            ("Is {s} {v}?",),
        ),
    },
)
BUILDING = Scene(
    words(BUILDINGS, "the {}"),
    {
        "year": Attribute(
            "{S} was built in {v}.",
            (
                "{S} was built in {v}.",
                "{S} dates from {v}.",
                "{S} was opened in {v} after it was built.",
                "They built {s} in {v}.",
                "{S} is old: it was built in {v}.",
                "Workers built {s} in {v}.",
            ),
            (
                "When was {s} built?",
                "[In which|Which|What] year was {s} built[ in|]?",
                "When did they build {s}?",
                "~[Tell me|Say|Find] when {s} was built.",
                "[Year|Date] of {s}?",
                "{s} was built [when|in which year]?",
                "Since when [is there|do we have] {s}?",
                "From [which|what] year is {s}?",
            ),
            numbers(1500, 2020),
            ("What was built in {v}?",),
            ("Was {s} built in {v}?",),
        ),
        "height": Attribute(
            "{S} is {v} high.",
            ("{S} is {v} high.", "{S} has a height of {v}.", "The height of {s} is {v}."),
            (
                "How [high|tall] is {s}?",
                "What is the height of {s}?",
                "What height does {s} have?",
                "~[Tell me|Say] how high {s} is.",
                "[Height|The height] of {s}?",
                "{s} is how high?",
            ),
            numbers(5, 300, "{} meters"),
            ("What is {v} high?",),
            ("Is {s} {v} high?",),
        ),
        "town": Attribute(
            "{S} is in {v}.",
            ("{S} is in {v}.", "{S} stands in {v}.", "You can visit {s} in {v}."),
            (
                "Where is {s}?",
                "[In which|Which|What] city is {s}[ in|]?",
                "Where does {s} stand?",
                "~[Tell me|Say] where {s} is.",
                "[Location|City|Place] of {s}?",
                "{s} is where?",
            ),
            words(CITIES),
            ("What is in {v}?", "What can I [visit|see] in {v}?"),
            ("Is {s} in {v}?",),
        ),
    },
    {
        ("year", "town"): (
            "{S} in {town} was built in {year}.",
            "{S} was built in {town} in {year}.",
        ),
        ("year", "height"): ("{S} was built in {year} and is {height} high.",),
        ("town", "height"): ("{S} in {town} is {height} high.",),
    },
)
SLEEPER = Scene(
    words(ANIMALS, "the {}"),
    {
        "bed": Attribute(
            "{S} is {v}.",
            (
                "{S} is {v}.",
                "{S} [sat|sits|is sitting] {v}.",
                "{S} [sleeps|slept|is sleeping] {v}.",
                "{S} [lies|lay|is lying] {v}.",
                "{S} [rests|is resting|waits] {v}.",
                "I [saw|found|see] {s} {v}.",
            ),
            (
                "Where is {s}?",
                "Where [does|did] {s} [sit|sleep|lie|rest]?",
                "Where [is|was] {s} [sitting|sleeping|lying|resting]?",
                "~[Tell me|Say] where {s} is.",
                "[Place|Location] of {s}?",
                "{s} is where?",
                "Where [can I find|do I find|can I see] {s}?",
            ),
            words(BEDS),
            ("[What|Which animal|Who] is {v}?", "[What|Who] [sits|sat|sleeps] {v}?"),
            ("Is {s} {v}?", "Did {s} sit {v}?"),
        ),
    },
)
