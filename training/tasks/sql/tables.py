"""Tables of a database, conditions on their rows in words and in SQL."""

from training.tasks.json.values import TEXT_KEYS, WHOLE_KEYS, text_value, whole_value
from training.tasks.phrases import phrase
from training.tasks.sql import clauses
from training.tasks.words import with_article
from training.wordings import Draw

# Text columns before the bar, columns of whole numbers behind it.
TABLES = {
    "users": "name city email country|age id",
    "products": "name color category brand|price stock id",
    "orders": "customer product status date|total quantity id",
    "books": "title author genre language|year pages price",
    "movies": "title director genre|year rating length",
    "employees": "name team city job|salary age id",
    "customers": "name city email country|age id",
    "students": "name school city|age grade id",
    "cars": "brand model color|year price speed",
    "songs": "title artist genre|year length",
    "pets": "name animal color owner|age weight",
    "players": "name team country|points age goals",
    "hotels": "name city country|stars price rooms",
    "flights": "origin destination airline|price seats",
    "courses": "title teacher room|hours students",
    "teachers": "name subject school|age salary",
    "games": "title genre publisher|year price players",
    "animals": "name color food|weight age",
    "tickets": "event city status|price seat",
    "houses": "city street owner|price rooms year",
    "invoices": "customer status date|amount id",
    "events": "title city date|guests price",
    "recipes": "title cook|minutes servings calories",
    "teams": "name city coach|points wins losses",
    "items": "name color|price quantity",
    "people": "name city job|age height",
    "workers": "name job city|salary age",
    "planes": "model airline|seats speed",
    "shops": "name city owner|size sales",
    "messages": "sender receiver text|id length",
}
RESERVED = frozenset(
    "order group key user date index rank column start end limit offset level mode table unit "
    "power host time month day year language location type method field file text role path value "
    "values rows columns scope title action option public source range".split()
)
COLUMN_WORDS = tuple(word for word in TEXT_KEYS if word.isalpha() and word.islower())
NUMBER_WORDS = tuple(word for word in WHOLE_KEYS if word.isalpha() and len(word) > 2)
Table = tuple[str, list[str], list[str]]
"""A name, columns of text, columns of numbers."""


def draw_table(draw: Draw) -> Table:
    """A usual table, or one of any name with any columns."""
    if draw.chance(0.85):
        name = draw.slot(tuple(TABLES))
        texts, numbers = TABLES[name].split("|")
        return name, texts.split(), numbers.split()
    name = draw.word()
    while name in RESERVED:
        name = draw.word()
    free = [word for word in draw.slots(COLUMN_WORDS, 6) if word not in RESERVED]
    free_numbers = [word for word in draw.slots(NUMBER_WORDS, 5) if word not in RESERVED]
    return name, free[:2] or ["name"], free_numbers[:2] or ["age"]


def one_of(table: str) -> str:
    """The singular of a table's name."""
    return {"people": "person"}.get(table, table.removesuffix("s"))


def plural(column: str) -> str:
    if column.endswith("y") and column[-2] not in "aeiou":
        return column[:-1] + "ies"
    return column if column.endswith("s") else column + "s"


def value_of(draw: Draw, table: Table, column: str) -> tuple[str, str]:
    """A value of a column, as a request writes it and in SQL."""
    if column in table[2]:
        number = str(whole_value(draw, column))
        return number, number
    if column == "name" and draw.chance(0.8):
        text = draw.name()
    elif column in ("brand", "category", "airline", "room"):
        text = draw.word()
    else:
        text = text_value(draw, column)
    quote = draw.rng.choices(("{}", "'{}'", '"{}"'), (80, 14, 6))[0]
    return quote.format(text), f"'{text}'"


def number_condition(draw: Draw, table: Table) -> tuple[str, str]:
    column = draw.pick(table[2])
    shown, value = value_of(draw, table, column)
    forms = (
        (clauses.ABOVE, ">"),
        (clauses.ABOVE, ">"),
        (clauses.BELOW, "<"),
        (clauses.BELOW, "<"),
        (clauses.EQUAL, "="),
        (clauses.EQUAL, "="),
        (clauses.AT_LEAST, ">="),
        (clauses.AT_MOST, "<="),
        (clauses.DIFFERENT, "!="),
    )
    if draw.chance(0.07):
        low, high = sorted(draw.rng.sample(range(1, draw.pick([20, 100, 1000])), 2))
        text = phrase(draw, clauses.BETWEEN, col=column, low=low, high=high)
        return text, f"{column} BETWEEN {low} AND {high}"
    templates, sign = draw.pick(forms)
    return phrase(draw, templates, col=column, value=shown), f"{column} {sign} {value}"


def text_condition(draw: Draw, table: Table) -> tuple[str, str]:
    column = draw.pick(table[1])
    form = draw.rng.random()
    if form < 0.72:
        shown, value = value_of(draw, table, column)
        return phrase(draw, clauses.EQUAL, col=column, value=shown), f"{column} = {value}"
    if form < 0.8:
        shown, value = value_of(draw, table, column)
        return phrase(draw, clauses.DIFFERENT, col=column, value=shown), f"{column} != {value}"
    if form < 0.92:
        start = draw.word()[: draw.pick([1, 1, 1, 2, 3])]
        start = start.upper() if len(start) == 1 and draw.chance(0.7) else start
        templates, pattern = draw.pick(
            [
                (clauses.STARTS, f"{start}%"),
                (clauses.STARTS, f"{start}%"),
                (clauses.CONTAINS, f"%{start}%"),
                (clauses.ENDS, f"%{start}"),
            ]
        )
        part = draw.pick(["{}", "{}", '"{}"', "'{}'"]).format(start)
        return phrase(draw, templates, col=column, part=part), f"{column} LIKE '{pattern}'"
    if draw.chance(0.6):
        return phrase(draw, clauses.MISSING, col=column), f"{column} IS NULL"
    return phrase(draw, clauses.PRESENT, col=column), f"{column} IS NOT NULL"


def _short_condition(draw: Draw, table: Table) -> tuple[str, str] | None:
    """A condition that goes without "where", such as "from Paris" or "older than 30"."""
    column = draw.pick(table[1] + table[2])
    shown, value = value_of(draw, table, column)
    low_high = {
        "age": ("older than {}", "younger than {}"),
        "price": ("that cost more than {}", "cheaper than {}"),
        "year": ("from after {}", "from before {}"),
        "weight": ("heavier than {}", "lighter than {}"),
        "salary": ("that earn more than {}", "that earn less than {}"),
    }
    equal = {
        "city": ("from {}", "in {}", "living in {}", "of {}"),
        "country": ("from {}", "in {}"),
        "name": ("named {}", "called {}", "with the name {}"),
        "author": ("by {}", "written by {}"),
        "artist": ("by {}", "of {}"),
        "director": ("by {}", "directed by {}"),
        "year": ("from {}", "of {}", "made in {}"),
        "origin": ("from {}", "leaving from {}"),
        "destination": ("to {}", "going to {}"),
        "job": ("who work as {}", "with the job {}"),
        "color": ("with the color {}", "in {}", "of color {}"),
        "customer": ("of {}", "by {}", "from {}"),
        "owner": ("of {}", "owned by {}"),
        "sender": ("from {}", "sent by {}"),
    }
    if column in low_high and draw.chance(0.7):
        side = draw.rng.randrange(2)
        return low_high[column][side].format(shown), f"{column} {'><'[side]} {value}"
    if column in equal:
        return draw.pick(equal[column]).format(shown), f"{column} = {value}"
    if column in table[2]:
        side = draw.rng.randrange(2)
        forms = (
            ("with {a} over {}", "with {} above {}", "with {a} of more than {}", "with {} > {}"),
            ("with {a} under {}", "with {} below {}", "with {a} of less than {}", "with {} < {}"),
        )
        if draw.chance(0.3):
            form = draw.pick(["with {} {}", "with the {} {}", "with {} = {}"])
            return form.format(column, shown), f"{column} = {value}"
        form = draw.pick(forms[side])
        if "{a}" in form:
            form = form.replace("{a}", with_article(column)).format(shown)
        else:
            form = form.format(column, shown)
        return form, f"{column} {'><'[side]} {value}"
    form = draw.pick(["with {} {}", "with the {} {}", "with {} = {}"])
    return form.format(column, shown), f"{column} = {value}"


def where(draw: Draw, table: Table) -> tuple[str, str]:
    """A condition in words, with the space before it, and in SQL."""
    found = _short_condition(draw, table) if draw.chance(0.4) else None
    if found is not None:
        return f" {found[0]}", f" WHERE {found[1]}"
    makers = draw.rng.choices((number_condition, text_condition), (6, 4), k=2)
    text, condition = makers[0](draw, table)
    if draw.chance(0.15):
        other_text, other = makers[1](draw, table)
        joint = draw.pick(["and", "and", "or"])
        if other.split()[0] != condition.split()[0]:
            text, condition = f"{text} {joint} {other_text}", f"{condition} {joint.upper()} {other}"
    start = draw.rng.choices((" where ", " whose ", ", where ", " if "), (80, 12, 4, 4))[0]
    if start == " whose " and text.startswith(("the ", "there ")):
        start = " where "
    return start + text, f" WHERE {condition}"


def which_one(draw: Draw, table: Table) -> tuple[str, str]:
    """The row that has a number, a name or a title, in words and in SQL."""
    columns = [column for column in ("id", "name", "title") if column in table[1] + table[2]]
    column = draw.pick(columns or table[1])
    shown, value = value_of(draw, table, column)
    forms = {
        "id": ["with id {}", "with the id {}", "with id {}", "number {}", "where id is {}"],
        "name": ["named {}", "called {}", "with the name {}", "with name {}"],
        "title": ["called {}", "with the title {}", "titled {}"],
    }
    form = draw.pick(forms.get(column, [f"with {column} {{}}", f"with the {column} {{}}"]))
    return form.format(shown), f"{column} = {value}"
