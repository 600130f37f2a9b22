"""Sentences on people, things and settings, with the facts that they state."""

from collections.abc import Callable, Mapping, Sequence

from faker.providers.person.en_US import Provider as People

from training.tasks.json.values import (
    COUNTRIES,
    FLAG_KEYS,
    GENRES,
    HOBBIES,
    LANGUAGES,
    MATERIALS,
    STATUSES,
    Record,
    Value,
    clock,
    date,
    email,
    full_name,
    headline,
    phone,
)
from training.tasks.phrases import filled, slots_of
from training.tasks.words import (
    ANIMALS,
    CITIES,
    COLORS,
    DAYS,
    FOODS,
    FRUITS,
    ITEMS,
    JOBS,
    MONTHS,
    PLACES,
    THINGS,
)
from training.wordings import Draw, expand

FEMALE = frozenset(People.first_names_female)
PRODUCTS = (
    "shirt hat lamp chair table bag mug phone laptop camera clock sofa bike coat scarf ring watch "
    "book pen desk pillow blanket guitar radio vase mirror jacket dress belt umbrella notebook"
).split()
SUBJECTS = "math history physics art music biology chemistry geography English sports".split()
CONDITIONS = "sunny cloudy rainy snowy windy foggy stormy dry".split()
EVENTS = "meeting party concert lunch dinner exam workshop lesson wedding match call trip".split()
THEMES = "dark light blue gray classic modern".split()
FONTS = "Arial Courier Georgia Verdana serif mono".split()
MODES = "fast slow quiet auto manual eco safe debug silent".split()


def price(draw: Draw) -> int | float:
    """A price, whole or with cents."""
    whole = draw.rng.randint(1, draw.pick([9, 20, 99, 500]))
    return whole if draw.chance(0.65) else whole + draw.pick([25, 49, 75, 95, 99]) / 100


def _number(low: int, *highs: int) -> Callable[[Draw], int]:
    return lambda draw: draw.rng.randint(low, draw.pick(highs))


def _of(words: Sequence[str]) -> Callable[[Draw], str]:
    return lambda draw: draw.slot(words)


VALUES: Mapping[str, Callable[[Draw], Value]] = {
    **dict.fromkeys("author customer director person teacher".split(), full_name),
    **dict.fromkeys(("player", "student"), lambda draw: full_name(draw, 0.2)),
    **dict.fromkeys(("city", "origin", "destination"), _of(CITIES)),
    **dict.fromkeys(("price",), price),
    "name": full_name,
    "age": _number(2, 90, 60, 40),
    "country": _of(COUNTRIES),
    "job": _of(JOBS),
    "color": _of(COLORS),
    "hobby": _of(HOBBIES),
    "pet": _of(ANIMALS),
    "animal": _of(ANIMALS),
    "language": _of(LANGUAGES),
    "food": _of(FOODS),
    "fruit": _of(FRUITS),
    "email": email,
    "phone": phone,
    "birthday": date,
    "date": date,
    "quantity": _number(2, 9, 12, 30, 100),
    "item": _of(ITEMS),
    "product": _of(PRODUCTS),
    "object": _of(THINGS),
    "material": _of(MATERIALS),
    "stock": _number(0, 20, 99),
    "title": headline,
    "year": lambda draw: draw.rng.randint(1900, 2026),
    "pages": _number(20, 99, 500),
    "genre": _of(GENRES),
    "temperature": _number(1, 35),
    "condition": _of(CONDITIONS),
    "day": _of(DAYS),
    "month": _of(MONTHS),
    "time": clock,
    "event": _of(EVENTS),
    "place": _of(PLACES),
    "id": _number(1, 99, 999, 9999),
    "status": _of(STATUSES),
    "points": _number(1, 30, 100),
    "minutes": _number(2, 60, 90),
    "subject": _of(SUBJECTS),
    "width": _number(2, 99),
    "height": _number(2, 99),
    "weight": _number(1, 20, 99),
    "rating": lambda draw: draw.rng.randint(1, 5),
    "rooms": _number(1, 9),
    "floor": _number(1, 20),
    "username": lambda draw: draw.word() + draw.pick(["", str(draw.rng.randint(1, 99))]),
    "theme": _of(THEMES),
    "font": _of(FONTS),
    "mode": _of(MODES),
    "volume": lambda draw: draw.rng.randint(0, 10) * 10,
    "brightness": lambda draw: draw.rng.randint(0, 20) * 5,
    "timeout": lambda draw: draw.pick(
        [5, 10, 15, 20, 30, 45, 60, 90, 120, draw.rng.randint(1, 99)]
    ),
    "port": lambda draw: draw.pick([80, 443, 3000, 5000, 8000, 8080, draw.rng.randint(1000, 9999)]),
    "retries": _number(0, 9),
    "size": _number(8, 30),
    "limit": _number(1, 20, 100, 500),
}
PERSON_CLAUSES = {
    "age": ["is {age} years old", "is {age}", "is {age} years of age", "turned {age} this year"],
    "city": ["lives in {city}", "is from {city}", "comes from {city}", "was born in {city}"],
    "country": ["lives in {country}", "comes from {country}", "is from {country}"],
    "job": ["works as a {job}", "is a {job}", "has a job as a {job}"],
    "color": [
        "loves the color {color}",
        "has {color} as favorite color",
        "likes the color {color}",
    ],
    "hobby": ["enjoys {hobby}", "likes {hobby}", "has {hobby} as a hobby"],
    "pet": ["has a {pet}", "owns a {pet}", "has a pet {pet}"],
    "language": ["speaks {language}", "is learning {language}"],
    "food": ["likes to eat {food}", "eats {food} every day", "loves to eat {food}"],
    "email": ["has the email {email}", "can be reached at {email}", "uses the email {email}"],
    "phone": ["has the phone number {phone}", "can be called at {phone}"],
}
PERSON_FRAGMENTS = (
    "{name}, {age}, {city}",
    "{name}, {age} years old, from {city}",
    "{name} ({age}) from {city}",
    "{name}, age {age}",
    "{name}, {age}",
    "{name}, aged {age}, a {job}[ from {city}|]",
    "{name} ({age}), {job}",
    "{name} is a {age} year old {job}[ from {city}| who lives in {city}|]",
    "{name} is a {age}-year-old from {city}",
    "{name} the {job} is {age}[ years old|]",
    "a {age} year old {job} named {name}",
    "a {job} called {name} from {city}",
    "My name is {name}, I am {age}[ years old|][ and I live in {city}|, I live in {city}|]",
    "[My name is|I'm|I am] {name} and I[ am|'m] {age}[ years old|]",
    "[I am|I'm] {name}, a {age} year old {job}",
    "[I am|I'm] {name}, {age}, and [I work as|I am] a {job}[ in {city}|]",
    "I am {name} from {city} and I [like|enjoy] {hobby}",
    "[Hi, |Hello, |]my name is {name} and my email is {email}",
    "{name}'s age is {age} and [{name}'s city|the city] is {city}",
    "[A man|A woman|A person|Someone|A student] named {name} is {age}[ years old|]",
    "{name}, {job}, {city}",
    "{name}, {email}[, {phone}|]",
    "[Contact|You can reach|Write to] {name} at {email}[ or {phone}|]",
    "{name} was born on {birthday}[ in {city}|]",
    "[Meet|This is] {name}, a {job} from {country}",
)
PEOPLE_NOUNS = (
    "{name}, [who is|age|aged|] {age}",
    "{name} who is {age}[ years old|]",
    "{name} who is {age}[ years old|] and lives in {city}",
    "{name}, {age}, [from|in] {city}",
    "{name} from {city}",
    "a [person|user|man|woman|student] [named|called] {name} aged {age}",
    "a [person|user|customer] [named|called] {name} who lives in {city}",
    "a {job} [named|called] {name}",
    "a {age} year old {job} [named|called] {name}",
    "{name} ({age})",
    "{name} ({age}, {city})",
    "{name} who works as a {job}[ in {city}|]",
    "{name} ({job}, {age})",
    "{name}, {age} years old",
)
THING_SENTENCES = (
    "{quantity} {item} cost {price} [dollars|euros]",
    "[I bought|We bought|I paid for|She bought] {quantity} {item} for [${price}|{price} dollars]",
    "{quantity} {item} at {price} [dollars|euros] each",
    "{customer} [bought|ordered] {quantity} {item}[ for {price} dollars| for ${price}|]",
    "[The|A|This] {color} {product} costs [{price} dollars|{price} euros|${price}]",
    "[The|A|This] {product} costs [{price} dollars|{price} euros|${price}]",
    "[I sell|For sale:|We have] a {color} {product} for [{price} dollars|{price} euros|${price}]",
    "{product}, {color}, ${price}",
    "{product}: {price} dollars, {stock} in stock",
    "[The|A] {product} is [made of|out of] {material} and costs [{price} dollars|${price}]",
    "[The book |]{title} by {author}[ was published in {year}|, {year}| ({year})|]",
    "{author} wrote {title} in {year}",
    '"{title}" is a {genre} [book|novel] by {author}[ with {pages} pages|]',
    "The [book|novel] {title} has {pages} pages and was written by {author}",
    '[The movie |The film |]"{title}" was directed by {director} in {year}',
    "{title} is a {genre} [movie|film] from {year}",
    "It is {temperature} degrees [and {condition} |]in {city}[ today|]",
    "[In {city} it is|The weather in {city} is] {condition}[ with {temperature} degrees|]",
    "[Meeting|Appointment|Lunch|Call] with {person} on {day} at {time}",
    "[The|A] {event} is on {day} at {time}[ in {city}|]",
    "[There is a|We have a|I have a] {event} on {day}[ at {time}|]",
    "[Flight|Train|Bus|Trip] from {origin} to {destination} on {day}[ at {time}|]",
    "The [train|bus] from {origin} to {destination} leaves at {time}[ and costs {price} euros|]",
    "{name} [moved|travels|flew|drove] from {origin} to {destination}[ in {year}|]",
    "{name} is a {color} {animal}[, {age} years old|]",
    "My {animal} {name} is {age}[ years old|]",
    "[We have|I have|There is] a {animal} named {name}",
    "Order [#|number |]{id} from {customer} is {status}",
    "Order [#|]{id}: {quantity} {item}[ for {customer}|]",
    "{player} scored {points} points in {minutes} minutes",
    "{student} got {points} points in {subject}",
    "{teacher} teaches {subject} on {day}",
    "[The|A] {object} is {width} cm wide and {height} cm [tall|high]",
    "[The|A] {object} weighs {weight} kg[ and is {color}|]",
    "[The flat|The apartment|The house] in {city} has {rooms} rooms and costs {price} euros",
    "{customer} gave {rating} stars to the {product}",
    "[The user|User] {username} has the email {email}",
)
SETTINGS = {
    "theme": ["{key} is {theme}", "{key} {theme}", "the {theme} theme"],
    "font": ["{key} is {font}", "{key} {font}"],
    "mode": ["{key} is {mode}", "{key} {mode}"],
    "language": ["{key} is {language}", "{key} {language}"],
    "volume": ["{key} is {volume}", "{key} {volume}", "{key} at {volume}", "a volume of {volume}"],
    "brightness": ["{key} is {brightness}", "{key} {brightness}", "{key} at {brightness}"],
    "timeout": ["{key} is {timeout}", "{key} {timeout}", "a timeout of {timeout} seconds"],
    "port": ["{key} is {port}", "{key} {port}", "on port {port}"],
    "retries": ["{key} is {retries}", "{retries} retries"],
    "size": ["{key} is {size}", "{key} {size}", "a size of {size}"],
    "limit": ["{key} is {limit}", "{key} {limit}", "a limit of {limit}"],
}
FLAGS = tuple(key for key in FLAG_KEYS if key.islower() and key.isalpha())
Scene = tuple[str, Record]
"""A text and its facts in the order in which the text states them."""


def told(draw: Draw, template: str) -> Scene:
    """A sentence with drawn values for its slots, which are the keys of its facts."""
    keys = slots_of(template)
    facts = {key: VALUES[key](draw) for key in keys}
    if "origin" in facts:
        facts["origin"], facts["destination"] = draw.slots(CITIES, 2)
    if "email" in facts and "name" in facts:
        facts["email"] = email(draw, str(facts["name"]))
    return filled(template, facts), facts


def _chosen(draw: Draw, templates: Sequence[str]) -> Scene:
    template = draw.slot(templates)
    draw.said.append(template)
    return told(draw, expand(draw.rng, template))


def _ended(text: str) -> str:
    return text[0].upper() + text[1:] + "."


def person_scene(draw: Draw) -> Scene:
    """A sentence or two about a person, or a fragment of one."""
    if draw.chance(0.4):
        text, facts = _chosen(draw, PERSON_FRAGMENTS)
        return (_ended(text) if draw.chance(0.5) else text), facts
    fields = draw.rng.sample(list(PERSON_CLAUSES), draw.pick([1, 2, 2, 2, 3, 3, 4]))
    if {"city", "country"} <= set(fields):
        fields.remove("country")
    if "age" in fields and draw.chance(0.6):
        fields.sort(key=lambda field: field != "age")
    clauses = [draw.pick(PERSON_CLAUSES[field]) for field in fields]
    facts = {"name": full_name(draw), **{field: VALUES[field](draw) for field in fields}}
    name = str(facts["name"])
    if "email" in facts:
        facts["email"] = email(draw, name)
    if len(clauses) > 1 and draw.chance(0.2):
        pronoun = "She" if name.split()[0] in FEMALE else "He"
        form = "{name} " + clauses[0] + f". {pronoun} " + " and ".join(clauses[1:3]) + "."
        facts = {key: facts[key] for key in ["name", *fields[:3]]}
        return filled(form, facts), facts
    clause = clauses[0]
    if len(clauses) > 1:
        comma = "," if draw.chance(0.15) and len(clauses) > 2 else ""
        clause = ", ".join(clauses[:-1]) + comma + " and " + clauses[-1]
    return filled("{name} " + clause + draw.pick([".", ".", ""]), facts), facts


def person_noun(draw: Draw) -> Scene:
    """A person with facts, as the object of a sentence."""
    return _chosen(draw, PEOPLE_NOUNS)


def thing_scene(draw: Draw) -> Scene:
    """A sentence about things, events or journeys."""
    text, facts = _chosen(draw, THING_SENTENCES)
    if draw.chance(0.5) and not text.startswith(str(next(iter(facts.values())))):
        text = text[0].upper() + text[1:]
    return text + draw.pick([".", ""]), facts


def settings_scene(draw: Draw) -> Scene:
    """A list of settings and switches, such as "theme dark, sound on"."""
    keys = draw.rng.sample(list(SETTINGS), draw.pick([1, 2, 2, 3]))
    facts: Record = {}
    clauses = []
    verb = draw.pick([" is", "", ""])
    for key in keys:
        facts[key] = VALUES[key](draw)
        clauses.append(filled(draw.pick(SETTINGS[key]).replace("{key}", key), facts))
    if draw.chance(0.35):
        flag, on = draw.slot(FLAGS), draw.chance(0.5)
        facts[flag] = on
        clauses.append(f"{flag}{verb} {draw.pick([('off', 'on'), ('false', 'true')])[on]}")
    last = draw.pick([" and ", ", "])
    return ", ".join(clauses[:-1]) + (last if len(clauses) > 1 else "") + clauses[-1], facts
