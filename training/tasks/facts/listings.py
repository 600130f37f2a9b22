"""Lists that are known by heart: the first items of a closed set, always in one order."""

from training.tasks.facts.closed import closed
from training.tasks.problem import Problem
from training.tasks.text.layouts import cardinal
from training.tasks.words import DAYS, MONTHS
from training.wordings import Draw

# Ways to name the items (one, many), and the items that are named when some are wanted.
SOME = {
    "fruit": (("fruit", "fruits"), "apple banana cherry orange pear grape"),
    "vegetable": (("vegetable", "vegetables"), "carrot potato onion cabbage spinach leek"),
    "animal": (("animal", "animals"), "dog cat horse lion elephant bear"),
    "pet": (("pet", "pets"), "dog cat rabbit hamster parrot"),
    "bird": (("bird", "birds"), "owl duck eagle parrot swan crow"),
    "insect": (("insect", "insects"), "ant bee fly butterfly beetle"),
    "color": (("color", "colors"), "red blue green yellow orange purple"),
    "colour": (("colour", "colours"), "red blue green yellow orange purple"),
    "country": (("country", "countries"), "France Italy Japan Brazil Egypt Canada"),
    "city": (("city", "cities"), "Paris London Rome Tokyo Berlin Madrid"),
    "capital": (("capital city", "capital cities"), "Paris London Rome Tokyo Berlin Madrid"),
    "language": (("language", "languages"), "English Spanish French German Chinese Arabic"),
    "programming": (
        ("programming language", "programming languages"),
        "Python C Java Rust Go JavaScript",
    ),
    "sport": (("sport", "sports"), "football tennis swimming running basketball"),
    "instrument": (
        ("musical instrument", "musical instruments"),
        "piano guitar violin flute drum",
    ),
    "metal": (("metal", "metals"), "iron gold silver copper tin zinc"),
    "shape": (("shape", "shapes"), "circle square triangle rectangle hexagon"),
    "drink": (("drink", "drinks"), "water milk tea coffee juice"),
    "food": (("food", "foods"), "bread cheese rice soup pizza pasta"),
    "flower": (("flower", "flowers"), "rose tulip daisy lily sunflower"),
    "tree": (("kind of tree", "trees"), "oak pine birch apple willow"),
    "job": (("job", "jobs"), "teacher doctor baker farmer pilot"),
    "name": (("first name", "first names"), "Anna Ben Clara David Emma"),
    "verb": (("verb", "verbs"), "run eat sing write sleep"),
    "noun": (("noun", "nouns"), "house tree dog book river"),
    "adjective": (("adjective", "adjectives"), "big red happy cold new"),
    "even": (("even number", "even numbers"), "2 4 6 8 10"),
    "odd": (("odd number", "odd numbers"), "1 3 5 7 9"),
    "prime": (("prime number", "prime numbers"), "2 3 5 7 11"),
    "tool": (("tool", "tools"), "hammer saw drill wrench pliers"),
    "ocean": (("ocean", "oceans"), "Pacific Atlantic Indian Southern Arctic"),
    "planet": (("planet", "planets"), "Mercury Venus Earth Mars Jupiter Saturn"),
}
ALL: dict[str, tuple[tuple[str, ...], str]] = {
    "days": (
        ("days of the week", "days", "seven days of the week", "names of the days"),
        ", ".join(DAYS),
    ),
    "months": (("months of the year", "months", "twelve months"), ", ".join(MONTHS)),
    "seasons": (
        ("seasons", "four seasons", "seasons of the year"),
        "spring, summer, autumn, winter",
    ),
    "planets": (
        ("planets", "planets of the solar system", "eight planets", "planets in order"),
        "Mercury, Venus, Earth, Mars, Jupiter, Saturn, Uranus, Neptune",
    ),
    "continents": (
        ("continents", "seven continents", "continents of the world"),
        "Africa, Antarctica, Asia, Europe, North America, Oceania, South America",
    ),
    "oceans": (
        ("oceans", "five oceans", "oceans of the world"),
        "Pacific, Atlantic, Indian, Southern, Arctic",
    ),
    "vowels": (("vowels", "English vowels", "vowels of the alphabet"), "a, e, i, o, u"),
    "rainbow": (
        ("colors of the rainbow", "rainbow colors", "colours of the rainbow"),
        "red, orange, yellow, green, blue, indigo, violet",
    ),
    "primary": (
        ("primary colors", "primary colours", "three primary colors"),
        "red, yellow, blue",
    ),
    "senses": (("five senses", "senses", "human senses"), "sight, hearing, smell, taste, touch"),
    "alphabet": (
        ("letters of the alphabet", "alphabet", "letters from a to z", "English alphabet"),
        ", ".join("abcdefghijklmnopqrstuvwxyz"),
    ),
    "digits": (("digits", "ten digits", "decimal digits"), "0, 1, 2, 3, 4, 5, 6, 7, 8, 9"),
}
NAME_SOME = (
    "~Name {n} {things}.",
    "~Name {n} [different |]{things}.",
    "~[List|Write|Say|Write down|Think of] {n} {things}.",
    "~Give me {n} {things}.",
    "~Give me [a list|the names|some examples|examples] of {n} {things}.",
    "~Tell me {n} {things}.",
    "[What are|Which are] {n} {things}[ that you know|]?",
    "{n} {things}[|.| please]",
    "[I need|I want|gimme] {n} {things}",
    "[Can you|Do you] know {n} {things}?",
    "[A list|List] of {n} {things}[|.]",
    "{things}: [name|give me|list] {n}",
    "[Which|What] {n} {things} [do you know|can you name]?",
    "~Come up with {n} {things}.",
    "~Write [down |]the names of {n} {things}.",
    "~Make a list of {n} {things}.",
    "~Generate {n} {things}.",
    "{n} {things}, [quick|go|now][!|.|]",
    "Can you [name|list|give me|tell me] {n} {things}?",
    "~Enumerate {n} {things}.",
    "[Examples|Some examples] of {things}: give me {n}",
    "Let me hear {n} {things}.",
    "I am looking for {n} {things}.",
)
NAME_ONE = (
    "~Name {one}.",
    "~[Write|Say|Think of|Tell me|Pick|Choose] {one}.",
    "~Give me {one}.",
    "~Give me an example of {one}.",
    "[What is|What's] {one} that you know?",
    "What is an example of {one}?",
    "[I need|I want|gimme] {one}",
    "[Do you know|Can you name] {one}?",
    "[Name|Give me] any {thing}.",
    "[Which|What] {thing} [do you know|can you name]?",
    "[Example|An example] of {one}[?|.|]",
    "~Come up with {one}.",
    "[Just|Only] one {thing}[, please|.|]",
    "~Let me hear {one}.",
    "[Say|Type|Write] any {thing}",
    "Is there {one} that you know? Which one?",
    "{one}, [please|quick|now]!",
)
NAME_ALL = (
    "~Name the {things}.",
    "~Name [the|all of the|every one of the] {things}.",
    "~Name all [the |]{things}.",
    "~[List|Write|Say|Recite|Enumerate|Write down] [the|all the|all] {things}.",
    "~[Give|Tell] me [the|all the] {things}.",
    "~Give me a list of [the|all] {things}.",
    "What are the {things}?",
    "[Which|What] {things} are there?",
    "[List of|the|all] {things}[|?|.]",
    "{things}",
    "[Do you know|Can you list|Can you say] [the|all the] {things}?",
    "[I need|I want|gimme] [the|all the] {things}",
    "What are the names of the {things}?",
    "{things}: [list them|name them|what are they?]",
    "[How do the|What do the] {things} go? [List them.|Name them.]",
    "[Which are|What are|Tell me] all of the {things}?",
    "Can you [name|list|tell me] [the|all the] {things}?",
    "~Write down [the |all the |]{things} in order.",
    "[The|All] {things} in order[?|.|]",
    "a list of [the |all |]{things}",
)


def listing(draw: Draw) -> Problem:
    """A closed list, its first items, or the first of them."""
    if draw.chance(0.35):
        kind, (names, answer) = draw.pick(list(ALL.items()))
        return closed("listing", f"all:{kind}", draw.say(NAME_ALL, things=draw.pick(names)), answer)
    kind, ((one, many), text) = draw.pick(list(SOME.items()))
    items = text.split()
    if draw.chance(0.25):
        article = "an" if one[0] in "aeiou" else "a"
        request = draw.say(NAME_ONE, one=f"{article} {one}", thing=one)
        return closed("listing", f"some:{kind}", request, items[0])
    count = draw.rng.choices((2, 3, 4, 5, None), (2, 6, 1.5, 3, 1.5))[0]
    shown = draw.pick(("some", "a few", "several")) if count is None else cardinal(draw, count)
    request = draw.say(NAME_SOME, n=shown, things=many)
    return closed("listing", f"some:{kind}", request, ", ".join(items[: count or 3]))
