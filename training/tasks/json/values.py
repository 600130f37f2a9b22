"""Keys and values of JSON, and ways to write lists of them in a sentence."""

import json
from collections.abc import Sequence

from training.tasks.words import (
    ANIMALS,
    CITIES,
    COLORS,
    DAYS,
    FOODS,
    FRUITS,
    ITEMS,
    JOBS,
    LAST_NAMES,
    MONTHS,
    VEGETABLES,
)
from training.wordings import Draw

Value = str | int | float | bool | None | list[str] | list[int]
Record = dict[str, Value]

TEXT_KEYS = (
    "name title city country email color colour status category brand author artist genre language "
    "street address phone username nickname role team department company currency gender level "
    "mode theme font host url path file format type kind label message text note comment summary "
    "description subject sender receiver owner user customer client product item fruit vegetable "
    "animal food drink sport hobby job school teacher student friend pet model version region "
    "state planet river season month day time date material shape brother sister mother father "
    "manager boss director actor writer editor publisher singer album song movie film book game "
    "player winner loser captain coach club hotel restaurant shop store market airport station "
    "origin destination start end first_name last_name full_name firstName lastName birthday "
    "password token id key value code answer question reply result reason error topic tag group "
    "flavor flavour weather condition mood feeling voice instrument plant flower tree dog cat "
    "device browser platform source target unit column field method action event place location "
    "reviewer buyer seller driver guest host_name file_name userName order_status paymentMethod"
).split()
WHOLE_KEYS = (
    "age year price quantity count stock id total size height width length weight depth score "
    "points rank level pages rooms floor seats port timeout limit offset page index amount salary "
    "population distance duration minutes hours days temperature humidity speed votes likes views "
    "stars order_id user_id max_tokens retries workers number cost balance goals wins losses lives "
    "health power calories servings children employees capacity volume visitors students guests "
    "downloads followers steps rows columns items_count pageCount userId zip_code year_built x y z"
).split()
DECIMAL_KEYS = (
    "price rating weight height temperature score discount tax rate balance distance ratio average "
    "latitude longitude speed total amount cost fee tip grade change width length volume"
).split()
FLAG_KEYS = (
    "is_active active enabled visible in_stock paid available is_admin verified done completed "
    "open public private online is_member married required archived deleted published isActive "
    "inStock is_new is_paid has_children has_pets premium locked valid subscribed shipped ready "
    "finished approved cancelled free urgent read debug success vegan important favorite fragile"
).split()
LIST_KEYS = (
    "tags colors items fruits hobbies languages names skills ingredients friends cities categories "
    "words pets children authors members toppings sizes roles topics groups keywords foods animals"
).split()
NUMBER_LIST_KEYS = "scores numbers points grades ids values sizes years prices results".split()
MAIL_HOSTS = "example.com mail.com test.org post.net example.org inbox.io".split()
STATUSES = (
    "active pending done shipped open closed new cancelled paid ready delivered failed draft "
    "approved running late"
).split()
COUNTRIES = (
    "France Italy Germany Spain Norway Austria Ireland Portugal Greece Poland Egypt Japan India "
    "Peru Canada Brazil Chile Cuba Kenya Sweden Finland Denmark Hungary Turkey Russia China "
    "Australia Belgium Mexico Argentina Switzerland Iceland Vietnam Nigeria Morocco Thailand"
).split()
LANGUAGES = (
    "English French Spanish German Italian Polish Greek Turkish Russian Chinese Japanese Arabic "
    "Portuguese Dutch Swedish Danish Finnish Hindi Korean Czech"
).split()
HOBBIES = (
    "chess hiking reading cooking swimming dancing painting singing running cycling fishing "
    "gardening drawing skiing sailing climbing baking knitting tennis football photography yoga"
).split()
GENRES = "fantasy crime horror romance comedy adventure mystery drama history thriller".split()
MATERIALS = "wood steel glass cotton leather plastic wool paper stone silk clay silver".split()
_WORDS_OF = {
    **dict.fromkeys(("city", "origin", "destination", "place", "location", "cities"), CITIES),
    **dict.fromkeys(("country", "countries"), COUNTRIES),
    **dict.fromkeys(("color", "colour", "colors"), COLORS),
    **dict.fromkeys(("language", "languages"), LANGUAGES),
    **dict.fromkeys(("hobby", "hobbies", "sport", "skills"), HOBBIES),
    **dict.fromkeys(("job", "role"), JOBS),
    **dict.fromkeys(("fruit", "fruits", "flavor", "flavour"), FRUITS),
    **dict.fromkeys(("vegetable", "ingredients"), VEGETABLES),
    **dict.fromkeys(("food", "foods", "toppings"), FOODS),
    **dict.fromkeys(("animal", "animals", "pet", "pets"), ANIMALS),
    **dict.fromkeys(("item", "items", "product"), ITEMS),
    **dict.fromkeys(("status", "state", "order_status"), STATUSES),
    "day": DAYS,
    "month": MONTHS,
    "genre": GENRES,
    "material": MATERIALS,
    "last_name": LAST_NAMES,
    "lastName": LAST_NAMES,
    "company": LAST_NAMES,
}
_PEOPLE = frozenset(
    "name author artist owner user customer client teacher student friend manager boss director "
    "actor writer editor singer player winner loser captain coach sender receiver first_name "
    "firstName brother sister mother father buyer seller driver guest names friends authors "
    "children members reviewer".split()
)


def full_name(draw: Draw, share: float = 0.4) -> str:
    """A first name, sometimes with a last name."""
    return draw.name() + (f" {draw.slot(LAST_NAMES)}" if draw.chance(share) else "")


def whole(draw: Draw) -> int:
    """A whole number of one to four digits, mostly short."""
    return draw.rng.randint(0, draw.pick([9, 20, 99, 99, 500, 999, 2030]))


def whole_value(draw: Draw, key: str) -> int:
    """A whole number that suits a key."""
    if key == "age":
        return draw.rng.randint(3, 90)
    if key in ("year", "year_built", "years"):
        return draw.rng.randint(1950, 2030)
    return whole(draw)


def decimal(draw: Draw) -> float:
    """A number with one or two decimals, the last of them not zero."""
    number = draw.rng.randint(0, draw.pick([9, 99, 99]))
    if draw.chance(0.6):
        return round(number + draw.rng.randint(1, 9) / 10, 1)
    cents = draw.pick([25, 49, 75, 95, 99, draw.rng.randint(1, 9) * 10 + draw.rng.randint(1, 9)])
    return round(number + cents / 100, 2)


def email(draw: Draw, name: str | None = None) -> str:
    """An address at a made-up host."""
    user = (name or draw.name()).lower().replace(" ", draw.pick([".", "_", ""]))
    return f"{user}@{draw.slot(MAIL_HOSTS)}"


def date(draw: Draw) -> str:
    """A day such as 2024-05-17."""
    rng = draw.rng
    return f"{rng.randint(1990, 2030)}-{rng.randint(1, 12):02d}-{rng.randint(1, 28):02d}"


def clock(draw: Draw) -> str:
    """A time such as 9:30 or 18:00."""
    return f"{draw.rng.randint(6, 23)}:{draw.pick(['00', '00', '15', '30', '45'])}"


def phone(draw: Draw) -> str:
    return f"555-{draw.rng.randint(0, 9999):04d}"


def headline(draw: Draw) -> str:
    """The title of a book, a movie or a song."""
    a, b = (word.capitalize() for word in draw.distinct(2))
    return draw.pick([f"The {a} {b}", f"{a} and {b}", f"The {a}", f"{a} {b}", f"The {a} of {b}", a])


def text_value(draw: Draw, key: str) -> str:
    """A text that suits a key, else a word or two."""
    if key in _WORDS_OF:
        return draw.slot(_WORDS_OF[key])
    if key in _PEOPLE:
        return full_name(draw)
    match key:
        case "email":
            return email(draw)
        case "phone":
            return phone(draw)
        case "date" | "birthday":
            return date(draw)
        case "time" | "start" | "end":
            return clock(draw)
        case "title" | "book" | "movie" | "song" | "film" | "album":
            return headline(draw)
    return " ".join(draw.distinct(1 if draw.chance(0.8) else 2))


def entry(draw: Draw) -> tuple[str, Value]:
    """A key and a value of any type."""
    kinds = ("text", "whole", "decimal", "flag", "list", "odd")
    match draw.rng.choices(kinds, (8, 7, 2, 3, 1, 4))[0]:
        case "text":
            key = draw.slot(TEXT_KEYS)
            return key, text_value(draw, key)
        case "whole":
            key = draw.slot(WHOLE_KEYS)
            return key, whole_value(draw, key)
        case "decimal":
            return draw.slot(DECIMAL_KEYS), decimal(draw)
        case "flag":
            return draw.slot(FLAG_KEYS), draw.chance(0.5)
        case "list" if draw.chance(0.3):
            return draw.slot(NUMBER_LIST_KEYS), [whole(draw) for _ in range(draw.pick([2, 3]))]
        case "list":
            key = draw.slot(LIST_KEYS)
            return key, list(dict.fromkeys(text_value(draw, key) for _ in range(draw.pick([2, 3]))))
        case _:
            key = draw.word() if draw.chance(0.7) else "abcdefgxyz"[draw.rng.randrange(10)]
            if draw.chance(0.06):
                return key, None
            return key, whole(draw) if draw.chance(0.5) else draw.word()


def record(draw: Draw, count: int, *, flat: bool = False) -> Record:
    """An object of `count` keys; a flat one has no lists."""
    found: Record = {}
    while len(found) < count:
        key, value = entry(draw)
        if not (flat and isinstance(value, list)):
            found[key] = value
    return found


def size(draw: Draw, most: int = 5) -> int:
    """A number of keys, mostly two or three."""
    return min(most, draw.rng.choices((1, 2, 3, 4, 5), (1, 4, 4, 2, 1))[0])


def shown(draw: Draw, value: object) -> str:
    """JSON as people type it: spaced, packed or over several lines."""
    form = draw.rng.random()
    if form < 0.72:
        return json.dumps(value, ensure_ascii=False)
    if form < 0.9:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return json.dumps(value, ensure_ascii=False, indent=draw.pick([2, 4]))


def enumerated(draw: Draw, items: Sequence[str], *, last: str = "and") -> str:
    """Items of a sentence, with commas or "and" or both."""
    if len(items) == 1:
        return items[0]
    form = draw.rng.random()
    if form < 0.5:
        comma = "," if form < 0.1 and len(items) > 2 else ""
        return ", ".join(items[:-1]) + f"{comma} {last} {items[-1]}"
    if form < 0.9:
        return ", ".join(items)
    return draw.pick([",", f" {last} ", "; "]).join(items)


def named_keys(draw: Draw, keys: Sequence[str]) -> str:
    """Names of keys as a request lists them, sometimes in quotes or brackets."""
    form = draw.rng.random()
    if form < 0.68:
        return enumerated(draw, keys)
    quote = draw.pick(['"', '"', "'", "`"])
    if form < 0.9:
        return enumerated(draw, [f"{quote}{key}{quote}" for key in keys])
    return draw.pick(["[{}]", "({})", "{{{}}}"]).format(", ".join(keys))


def plain(value: Value) -> str:
    """A value without quotes, as in a line `key: value`."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return str(value)


def person(draw: Draw) -> Record:
    """The kind of record that newcomers type."""
    facts: Record = {
        "name": full_name(draw, 0.25),
        "age": whole_value(draw, "age"),
        "city": draw.slot(CITIES),
        "job": draw.slot(JOBS),
    }
    keys = draw.pick(["name age", "name age", "name city", "name age city", "name age job"])
    return {key: facts[key] for key in keys.split()}


def subject(draw: Draw, low: int = 1) -> Record:
    """A record to work on: a person, letters with numbers, or anything."""
    kind = draw.rng.random()
    if kind < 0.25:
        return person(draw)
    if kind < 0.4:
        letters = draw.pick(["abc", "ab", "abcd", "xyz", "xy", "abc", "ba", "cab"])
        numbers = draw.rng.sample(range(1, 10), len(letters))
        if draw.chance(0.5):
            numbers = list(range(1, len(letters) + 1))
        return dict(zip(letters, numbers, strict=True))
    return record(draw, max(low, draw.pick([1, 2, 2, 3, 3, 4])), flat=draw.chance(0.9))


def name_of(draw: Draw, key: str) -> str:
    """A key as a request names it, with or without quotes."""
    return draw.rng.choices(("{}", '"{}"', "'{}'", "`{}`"), (60, 32, 5, 3))[0].format(key)


def value_of(draw: Draw, value: Value) -> str:
    """A value as a request names it: text with or without quotes, the rest as JSON."""
    if isinstance(value, str):
        quoted = draw.rng.choices(("{}", '"{}"', "'{}'"), (55, 38, 7))[0]
        return quoted.format(value)
    return json.dumps(value, ensure_ascii=False)
