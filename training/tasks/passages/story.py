"""Short stories about a hero, a thing and a friend, with the parts that the request names."""

import re

from training.tasks.passages.story_parts import (
    DEFAULT_HERO,
    FRAMES,
    FRIENDS,
    HEROES,
    HEROES_OF_TRAITS,
    HOMES,
    NO_PARTS,
    OTHER_HEROES,
    PLACES,
    PLOTS,
    SIDEKICKS,
    STORY_HEROES,
    THINGS,
    TRAITS,
)
from training.tasks.problem import MEMORISED, Problem, as_json, ask
from training.tasks.words import COLORS, with_article
from training.wordings import Draw, expand

PLURALS = {
    "mouse": "mice",
    "wolf": "wolves",
    "fish": "fish",
    "sheep": "sheep",
    "deer": "deer",
}
SPARE_FRIENDS = ("Mia", "Leo")
SPOKEN = ("name", "animal", "trait", "place", "thing", "color", "friend", "other")
PARTS = {
    "found": (
        "One day {name} found {color_thing} in the grass.",
        "{name} shared the {thing} with {friend}.",
        "{name} and {friend} became good friends.",
    ),
    "lost": (
        "One morning {name} lost {color_thing}.",
        "They looked everywhere and found the {thing} under a tree.",
        "{name} was very happy.",
    ),
    "played": (
        "Every day {name} played with {color_thing}.",
        "They played with the {thing} all day long.",
        "From that day on {name} and {friend} were friends.",
    ),
}
OPENINGS = {
    "in": "Once upon a time there was {trait_animal} named {name}. {name} lived in {place}.",
    "near": "{name} was {trait_animal} who lived near {place}.",
}


def article(word: str) -> str:
    """The word after the indefinite article that fits it."""
    return f"a {word}" if word.startswith("uni") else with_article(word)


def plural(word: str) -> str:
    """More than one of a hero."""
    if word in PLURALS:
        return PLURALS[word]
    if word.endswith(("x", "ch")):
        return f"{word}es"
    ends = word.endswith("y") and word[-2] not in "aeiou"
    return f"{word[:-1]}ies" if ends else f"{word}s"


def _named(form: str, parts: dict[str, str]) -> dict[str, str]:
    """The parts that a phrase names."""
    slots = set(re.findall(r"\{(?:an?_|many_)?(\w+)\}", form))
    return {key: value for key, value in parts.items() if key in slots or f"of_{key}" in slots}


def story(draw: Draw) -> Problem:
    """Tell a story of five sentences that has the parts of its request and is consistent."""
    if draw.chance(0.06):
        return _problem(draw.say(NO_PARTS), {}, draw)
    wanted: dict[str, str] = {}
    text = _hero(draw, wanted)
    if "thing" in wanted:
        return _problem(draw.say(FRAMES, x=text), wanted, draw)
    extras = draw.pick(((), (), ("plot",), ("plot",), ("home",), ("friend",), ("home", "plot")))
    for extra in extras:
        text += " " + {"plot": _plot, "home": _home, "friend": _friend}[extra](draw, wanted)
    return _problem(draw.say(FRAMES, x=text), wanted, draw)


def _hero(draw: Draw, wanted: dict[str, str]) -> str:
    form = expand(draw.rng, draw.slot(HEROES))
    known = draw.chance(0.8)
    animal = draw.pick(list(STORY_HEROES)) if known else draw.slot(OTHER_HEROES)
    parts = {"name": draw.name(), "trait": draw.slot(TRAITS), "animal": animal}
    parts |= {"color": draw.slot(COLORS), "thing": draw.slot(THINGS)}
    wanted |= _named(form, parts)
    return form.format(
        **parts,
        many_of_animal=plural(parts["animal"]),
        an_animal=article(parts["animal"]),
        a_trait=article(parts["trait"]),
        a_color=article(parts["color"]),
        a_thing=article(parts["thing"]),
    )


def _plot(draw: Draw, wanted: dict[str, str]) -> str:
    event = draw.pick(("found", "found", "lost", "played", "and"))
    form = expand(draw.rng, draw.slot(PLOTS[event]))
    thing, color = draw.slot(THINGS), draw.slot(COLORS)
    wanted["thing"] = thing
    if "{a_thing}" not in form:
        wanted["color"] = color
    if event != "and":
        wanted["event"] = event
    return form.format(thing=f"{article(color)} {thing}", a_thing=article(thing))


def _home(draw: Draw, wanted: dict[str, str]) -> str:
    where = draw.pick(("in", "in", "near"))
    wanted["place"], wanted["where"] = draw.slot(PLACES), where
    return expand(draw.rng, draw.slot(HOMES[where])).format(place=article(wanted["place"]))


def _friend(draw: Draw, wanted: dict[str, str]) -> str:
    form = expand(draw.rng, draw.slot(FRIENDS))
    parts = {"friend": draw.name(), "other": draw.slot(SIDEKICKS)}
    if parts["friend"] == wanted.get("name"):
        parts["friend"] = next(name for name in SPARE_FRIENDS if name != wanted["name"])
    if parts["other"] == wanted.get("animal"):
        parts["other"] = "rabbit" if parts["other"] != "rabbit" else "cat"
    wanted |= _named(form, parts)
    return form.format(**parts, an_other=article(parts["other"]))


def parts_of(wanted: dict[str, str]) -> dict[str, str]:
    """All parts of a story: the wanted ones, and others that belong to its hero."""
    animal = wanted.get("animal") or HEROES_OF_TRAITS.get(wanted.get("trait", ""), DEFAULT_HERO)
    hero = STORY_HEROES.get(animal, STORY_HEROES[DEFAULT_HERO])
    parts = {
        "name": hero.name,
        "trait": hero.trait,
        "place": hero.place,
        "thing": hero.thing,
        "color": hero.color,
        "other": hero.other,
        "friend": hero.friend,
        "event": hero.event,
        "where": "in",
    }
    parts |= wanted | {"animal": animal}
    if parts["other"] == animal:
        parts["other"] = "cat"
    if parts["friend"] == parts["name"]:
        key = "name" if "friend" in wanted else "friend"
        parts[key] = next(name for name in SPARE_FRIENDS if name not in parts.values())
    return parts


def tell(parts: dict[str, str]) -> str:
    """The story of the parts."""
    forms = {
        **parts,
        "place": article(parts["place"]),
        "color_thing": f"{article(parts['color'])} {parts['thing']}",
        "trait_animal": f"{article(parts['trait'])} {parts['animal']}",
    }
    event, together, ending = PARTS[parts["event"]]
    other = article(parts["other"])
    meeting = f"Then {{name}} met {other} named {{friend}}."
    if parts["event"] == "lost":
        meeting = f'{other.capitalize()} named {{friend}} came by and said, "Can I help you?"'
    form = " ".join([OPENINGS[parts["where"]], event, meeting, together, ending])
    return form.format(**forms)


def _problem(request: str, wanted: dict[str, str], draw: Draw) -> Problem:
    parts = parts_of(wanted)
    answer = tell(parts)
    own = {key: parts[key] for key in wanted if key != "where"}
    named = ":".join(f"{key}={wanted[key]}" for key in sorted(wanted))
    is_closed = wanted.keys() <= {"animal"} or wanted.keys() == {"trait"}
    raw = _completion(answer, wanted, parts)
    return Problem(
        "story",
        (f"{MEMORISED}:story:{named}" if is_closed else f"story:{named}",),
        ask(request),
        answer,
        "story",
        as_json(own),
        (raw, answer.removeprefix(raw)),
        said=tuple(draw.said),
    )


def _completion(answer: str, wanted: dict[str, str], parts: dict[str, str]) -> str:
    """The beginning of the story up to the last part that is not its hero's own."""
    if not wanted:
        return "Once upon a time there was a"
    ends = [re.search(rf"\b{parts[key]}\b", answer) for key in wanted if key in SPOKEN]
    end = max((found.end() for found in ends if found is not None), default=0)
    opening = len("Once upon a time there was a")
    return answer[: max(end, opening if answer.startswith("Once") else 0)]
