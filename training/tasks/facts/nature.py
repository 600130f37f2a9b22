"""Closed sets about animals, colors, shapes, planets and chemical elements."""

from training.tasks.facts.closed import closed, pairs, table, typed
from training.tasks.facts.nature_wordings import (
    BABY,
    BESIDE_PLANET,
    CATEGORY,
    COLOR,
    ELEMENT,
    IS_CATEGORY,
    IS_COLOR,
    LEG,
    MIX,
    NTH_PLANET,
    SIDE,
    SOUND,
    SYMBOL,
)
from training.tasks.facts.sizes import size
from training.tasks.problem import Problem
from training.tasks.text.layouts import one_kind
from training.tasks.words import ANIMALS, FRUITS, VEGETABLES, with_article
from training.wordings import Draw

COLORS_OF = {
    row[0]: row[1]
    for row in table(
        """
        the sky|blue
        grass|green
        a banana|yellow
        snow|white
        the sun|yellow
        a strawberry|red
        a tomato|red
        blood|red
        coal|black
        milk|white
        a lemon|yellow
        an orange|orange
        a carrot|orange
        a cherry|red
        a frog|green
        a leaf|green
        a cucumber|green
        a pumpkin|orange
        a crow|black
        a flamingo|pink
        a polar bear|white
        chocolate|brown
        the sea|blue
        the ocean|blue
        a swan|white
        spinach|green
        broccoli|green
        salt|white
        cotton|white
        an elephant|gray
        a fire truck|red
        a lime|green
        a pig|pink
        """
    )
}
LEGS = pairs(
    "dog 4, cat 4, horse 4, cow 4, spider 8, ant 6, bird 2, fish 0, snake 0, human 2, bee 6, "
    "chicken 2, duck 2, elephant 4, lion 4, tiger 4, sheep 4, pig 4, mouse 4, frog 4, insect 6, "
    "beetle 6, rabbit 4, fly 6, butterfly 6, scorpion 8, zebra 4, giraffe 4, penguin 2, whale 0, "
    "turtle 4, goat 4, worm 0, camel 4, wolf 4, owl 2, bear 4"
)
SOUNDS = pairs(
    "dog woof, cat meow, cow moo, duck quack, sheep baa, pig oink, lion roar, frog ribbit, bee "
    "buzz, snake hiss, horse neigh, mouse squeak, rooster cock-a-doodle-doo, owl hoot, chicken "
    "cluck, wolf howl, goat baa, bird tweet, donkey hee-haw, crow caw"
)
YOUNG = pairs(
    "dog puppy, cat kitten, cow calf, horse foal, sheep lamb, pig piglet, duck duckling, goose "
    "gosling, goat kid, lion cub, bear cub, chicken chick, frog tadpole, deer fawn, kangaroo "
    "joey, fox cub, wolf pup, elephant calf, whale calf, swan cygnet, human baby, owl owlet, "
    "rabbit kit, seal pup, tiger cub"
)
SIDES = pairs(
    "triangle 3, square 4, rectangle 4, pentagon 5, hexagon 6, heptagon 7, octagon 8, nonagon 9, "
    "decagon 10, circle 0, cube 6, quadrilateral 4, rhombus 4"
)
PLANETS = "Mercury Venus Earth Mars Jupiter Saturn Uranus Neptune".split()
PLANET_ORDINALS = "first second third fourth fifth sixth seventh eighth".split()
ELEMENTS = pairs(
    "hydrogen H, helium He, carbon C, nitrogen N, oxygen O, sodium Na, iron Fe, gold Au, silver "
    "Ag, copper Cu, lead Pb, mercury Hg, potassium K, calcium Ca, chlorine Cl, sulfur S, zinc Zn, "
    "aluminum Al, neon Ne, tin Sn, magnesium Mg, lithium Li, silicon Si, uranium U, iodine I"
)
MIXES = {
    ("red", "yellow"): "orange",
    ("blue", "yellow"): "green",
    ("red", "blue"): "purple",
    ("red", "white"): "pink",
    ("black", "white"): "gray",
}
MANY = pairs(
    "mouse mice, goose geese, wolf wolves, sheep sheep, fish fish, deer deer, fox foxes, fly "
    "flies, butterfly butterflies, strawberry strawberries, tomato tomatoes, cherry cherries, "
    "leaf leaves, flamingo flamingos"
)
SHOWN = ("red", "green", "blue", "yellow", "black", "white", "purple")
UNSURE = "tomato pepper pumpkin pea bean corn".split()  # fruits for some
UNCOUNTED = "spinach lettuce garlic celery broccoli".split()
CATEGORIES = {
    **dict.fromkeys([word for word in FRUITS if word not in ("date", "orange")], "a fruit"),
    **dict.fromkeys(
        [word for word in VEGETABLES if word not in UNSURE],
        "a vegetable",
    ),
    **dict.fromkeys(ANIMALS, "an animal"),
}


def color_of(draw: Draw) -> Problem:
    """The usual color of a thing, or of a mix of two."""
    if draw.chance(0.25):
        (a, b), color = draw.pick(list(MIXES.items()))
        one, two = (a, b) if draw.chance(0.5) else (b, a)
        request = draw.say(MIX, a=one, b=two)
        answer = f"{a.capitalize()} and {b} make {color}."
        return closed("nature", f"mix:{a}:{b}", request, answer, color)
    thing, color = draw.pick(list(COLORS_OF.items()))
    if draw.chance(0.25):
        thing, color = draw.pick(list(COLORS_OF.items())[:6])
    bare = thing.split(maxsplit=1)[1] if thing.startswith(("the ", "a ", "an ")) else thing
    asked, are = thing, "is"
    if thing.startswith(("a ", "an ")) and draw.chance(0.3):
        asked, are = MANY.get(bare, f"{bare}s"), "are"
    slots = {
        "thing": asked,
        "are": are,
        "Are": are.capitalize(),
        "do": "do" if are == "are" else "does",
    }
    name, answer = f"color:{thing}", f"{thing.capitalize()} is {color}."
    if draw.chance(0.2):
        said = color if draw.chance(0.6) else draw.pick([c for c in SHOWN if c != color])
        verdict = "Yes" if said == color else "No"
        request = draw.say(IS_COLOR, color=said, alone=False, **slots)
        return closed("nature", name, request, f"{verdict}, {thing} is {color}.")
    request = draw.say(COLOR, bare=bare, color=color, alone=False, **slots)
    return closed("nature", name, request, answer, color)


def animal_fact(draw: Draw) -> Problem:
    """The legs, the sound or the young of an animal."""
    kind = draw.rng.random()
    table_of, templates = (
        (LEGS, LEG) if kind < 0.4 else (SOUNDS, SOUND) if kind < 0.7 else (YOUNG, BABY)
    )
    animal, value = draw.pick(list(table_of.items()))
    article = with_article(animal)
    many = MANY.get(animal, f"{animal}s")
    request = draw.say(templates, animal=animal, an=article, many=many)
    start = f"{article[0].upper()}{article[1:]}"
    if table_of is LEGS:
        value = "no" if value == "0" else value
        return closed("nature", f"legs:{animal}", request, f"{start} has {value} legs.", value)
    if table_of is SOUNDS:
        return closed("nature", f"sound:{animal}", request, f"{start} says {value}.", value)
    baby = with_article(value)
    return closed("nature", f"young:{animal}", request, f"A baby {animal} is {baby}.", baby)


def shape_fact(draw: Draw) -> Problem:
    """The number of sides of a shape."""
    shape, sides = draw.pick(list(SIDES.items()))
    article = with_article(shape)
    request = draw.say(SIDE, shape=shape, an=article)
    sides = "no" if sides == "0" else sides
    answer = f"{article.capitalize()} has {sides} sides."
    return closed("nature", f"sides:{shape}", request, answer, sides)


def planet_fact(draw: Draw) -> Problem:
    """A planet by its number or its neighbor."""
    i = draw.rng.randrange(8)
    if draw.chance(0.6):
        nth = PLANET_ORDINALS[i]
        shown = draw.pick((nth, nth, f"{i + 1}{['st', 'nd', 'rd', *['th'] * 5][i]}"))
        answer = f"The {nth} planet is {PLANETS[i]}."
        request = draw.say(NTH_PLANET, nth=shown, n=i + 1)
        return closed("nature", f"planet:{i}", request, answer, PLANETS[i])
    step = draw.pick([step for step in (1, -1) if 0 <= i + step < 8])
    side, other = "after" if step == 1 else "before", PLANETS[i + step]
    request = draw.say(BESIDE_PLANET, side=side, name=typed(draw, PLANETS[i]))
    answer = f"The planet {side} {PLANETS[i]} is {other}."
    return closed("nature", f"planet:{side}:{i}", request, answer, other)


def element_fact(draw: Draw) -> Problem:
    """The symbol of an element, or its element."""
    element, symbol = draw.pick(list(ELEMENTS.items()))
    if draw.chance(0.65):
        answer = f"The symbol of {element} is {symbol}."
        asked = element.capitalize() if draw.chance(0.15) else element
        request = draw.say(SYMBOL, element=asked)
        return closed("nature", f"symbol:{element}", request, answer, symbol)
    request = draw.say(ELEMENT, symbol=symbol)
    return closed("nature", f"element:{symbol}", request, f"{symbol} is {element}.", element)


def category(draw: Draw) -> Problem:
    """The kind of a word: a fruit, a vegetable or an animal."""
    groups = ("a fruit", "a vegetable", "an animal")
    wanted = draw.rng.choices(groups, (4, 4, 2))[0]
    word = draw.pick([word for word, kind in CATEGORIES.items() if kind == wanted])
    article = word if word in UNCOUNTED else with_article(word)
    if draw.chance(0.3):
        said = (
            wanted if draw.chance(0.5) else draw.pick([kind for kind in groups if kind != wanted])
        )
        request = draw.say(IS_CATEGORY, an=article, kind=said)
        answer = f"{'Yes' if said == wanted else 'No'}, {article} is {wanted}."
        return closed("nature", f"category:{word}", request, answer)
    request = draw.say(CATEGORY, an=article, word=word)
    answer = f"{article.capitalize()} is {wanted}."
    return closed("nature", f"category:{word}", request, answer, wanted)


KINDS = (
    (color_of, 3.0),
    (animal_fact, 4.0),
    (shape_fact, 1.0),
    (planet_fact, 1.5),
    (element_fact, 1.5),
    (category, 1.2),
    (size, 1.0),
)


def nature(draw: Draw) -> Problem:
    """A fact about colors, animals, shapes, planets, elements or categories."""
    return one_kind(draw, KINDS)
