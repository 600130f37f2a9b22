"""Requests for rows of a table, and for changes of it, in SQL."""

from training.tasks.json.values import enumerated
from training.tasks.phrases import phrase
from training.tasks.problem import Problem, ask
from training.tasks.sql import clauses, words
from training.tasks.sql.tables import (
    Table,
    draw_table,
    number_condition,
    one_of,
    plural,
    text_condition,
    value_of,
    where,
    which_one,
)
from training.tasks.text.layouts import Kinds, one_kind
from training.wordings import Draw, expand

SQL_STARTS = ("select ", "insert into ", "delete from ", "create table ", "alter table ")


def _after(clause: str) -> str:
    """A clause with the space that parts it from what precedes it."""
    return clause if clause.startswith(",") else f" {clause}"


def _tail(draw: Draw, table: Table, share: float = 0.6) -> tuple[str, str]:
    """A condition, an order and a limit, each or none of them."""
    text, query = where(draw, table) if draw.chance(share) else ("", "")
    columns = table[1] + table[2]
    if draw.chance(0.3):
        column, down = draw.pick(columns), draw.chance(0.45)
        text += _after(phrase(draw, clauses.ORDERS_DOWN if down else clauses.ORDERS, col=column))
        query += f" ORDER BY {column}" + (" DESC" if down else "")
    if draw.chance(0.2):
        limit = draw.pick([1, 3, 5, 10, 10, 20, 50, 100, draw.rng.randint(2, 50)])
        text += _after(phrase(draw, clauses.LIMITS, n=limit))
        query += f" LIMIT {limit}"
    return text, query


def _problem(
    draw: Draw, table: Table, request: str, query: str, frames: tuple[str, ...] = words.FRAMES
) -> Problem:
    """A problem with the request in a frame that says SQL, sometimes with the table's columns."""
    request = " ".join(request.split()).replace(" ,", ",")
    upper = request[0].upper() + request[1:]
    if request.startswith(SQL_STARTS) and draw.chance(0.25):
        frames = words.BARE_FRAMES
    content = draw.say(frames, request=request, Request=upper)
    makes_table = query.startswith(("CREATE", "ALTER", "DROP"))
    if draw.chance(0.12) and not makes_table and not request.startswith("--"):
        columns = ", ".join(table[1] + table[2])
        form = draw.pick(
            [
                "Table {}({}).",
                "Table: {} ({})\n",
                "The table {} has the columns {}.",
                "Schema: {}({})\n",
                "CREATE TABLE {} ({});\n",
            ]
        )
        start = form.format(table[0], columns)
        content = f"{start}{content}" if start.endswith("\n") else f"{start} {content}"
    answer = f"{query};"
    raw = (f"-- {upper}\n", answer)
    return Problem("sql", (f"sql:{query}",), ask(content), answer, raw=raw)


def _columns(draw: Draw, table: Table, most: int = 3) -> tuple[str, list[str]]:
    """Names of columns in words and in a list."""
    pool = table[1] + table[2]
    columns = draw.rng.sample(pool, min(len(pool), draw.pick([1, 1, 2, 2, 3]), most))
    if draw.chance(0.3):
        return enumerated(draw, [plural(column) for column in columns]), columns
    return enumerated(draw, columns), columns


def _select(draw: Draw) -> Problem:
    table = draw_table(draw)
    tail, query = _tail(draw, table)
    shown, columns = _columns(draw, table)
    is_noun = draw.chance(0.3)
    frames = words.NOUN_FRAMES if is_noun else words.FRAMES
    slots = {"table": table[0], "one": one_of(table[0]), "cols": shown, "tail": tail}
    if draw.chance(0.45):
        request = phrase(draw, words.ALL_NOUNS if is_noun else words.SELECTS_ALL, **slots)
        return _problem(draw, table, request, f"SELECT * FROM {table[0]}{query}", frames)
    request = phrase(draw, words.SELECT_NOUNS if is_noun else words.SELECTS, **slots)
    query = f"SELECT {', '.join(columns)} FROM {table[0]}{query}"
    return _problem(draw, table, request, query, frames)


def _count(draw: Draw) -> Problem:
    table = draw_table(draw)
    tail, condition = where(draw, table) if draw.chance(0.5) else ("", "")
    query = f"SELECT COUNT(*) FROM {table[0]}{condition}"
    if draw.chance(0.4):
        request = phrase(draw, words.COUNT_QUESTIONS, table=table[0], tail=tail)
        return _problem(draw, table, request, query, words.QUESTION_FRAMES)
    return _problem(draw, table, phrase(draw, words.COUNTS, table=table[0], tail=tail), query)


def _aggregate(draw: Draw) -> Problem:
    table = draw_table(draw)
    number = draw.pick([column for column in table[2] if column != "id"] or table[2])
    function = draw.pick(list(words.FUNCTIONS))
    name = expand(draw.rng, words.FUNCTIONS[function])
    tail, condition = where(draw, table) if draw.chance(0.35) else ("", "")
    query = f"SELECT {function}({number}) FROM {table[0]}{condition}"
    templates, frames = draw.pick(
        [
            (words.AGGREGATES, words.FRAMES),
            (words.AGGREGATE_QUESTIONS, words.QUESTION_FRAMES),
            (words.AGGREGATE_NOUNS, words.NOUN_FRAMES),
        ]
    )
    request = phrase(draw, templates, table=table[0], number=number, function=name, tail=tail)
    return _problem(draw, table, request, query, frames)


def _distinct(draw: Draw) -> Problem:
    table = draw_table(draw)
    column = draw.pick(table[1])
    request = phrase(draw, words.DISTINCTS, table=table[0], col=column, cols=plural(column))
    return _problem(draw, table, request, f"SELECT DISTINCT {column} FROM {table[0]}")


def _group(draw: Draw) -> Problem:
    table = draw_table(draw)
    column = draw.pick(table[1])
    if draw.chance(0.6):
        request = phrase(draw, words.GROUP_COUNTS, table=table[0], col=column)
        query = f"SELECT {column}, COUNT(*) FROM {table[0]} GROUP BY {column}"
        return _problem(draw, table, request, query)
    number, function = draw.pick(table[2]), draw.pick(list(words.FUNCTIONS))
    name = expand(draw.rng, words.FUNCTIONS[function])
    request = phrase(
        draw, words.GROUP_AGGREGATES, table=table[0], col=column, number=number, function=name
    )
    query = f"SELECT {column}, {function}({number}) FROM {table[0]} GROUP BY {column}"
    return _problem(draw, table, request, query)


def _top(draw: Draw) -> Problem:
    table = draw_table(draw)
    number = draw.pick([column for column in table[2] if column != "id"] or table[2])
    limit = draw.pick([1, 3, 3, 5, 5, 10, 10, 20, 100, draw.rng.randint(2, 50)])
    extremes = {
        "price": ("most expensive", "cheapest"),
        "age": ("oldest", "youngest"),
        "year": ("newest", "oldest"),
        "weight": ("heaviest", "lightest"),
        "salary": ("best paid", "worst paid"),
        "length": ("longest", "shortest"),
    }
    query = f"SELECT * FROM {table[0]} ORDER BY {number} DESC LIMIT {limit}"
    if number in extremes and draw.chance(0.4):
        side = draw.rng.randrange(2)
        count = "" if limit == 1 else f"{limit} "
        noun = one_of(table[0]) if limit == 1 else table[0]
        request = f"the {count}{extremes[number][side]} {noun}"
        query = query if side == 0 else query.replace(" DESC", "")
        return _problem(draw, table, request, query, words.NOUN_FRAMES)
    request = phrase(draw, words.TOPS, table=table[0], number=number, n=limit)
    return _problem(draw, table, request, query)


def _one(draw: Draw) -> Problem:
    """A single row."""
    table = draw_table(draw)
    which, condition = which_one(draw, table)
    request = phrase(draw, words.ONES, table=table[0], one=one_of(table[0]), which=which)
    return _problem(draw, table, request, f"SELECT * FROM {table[0]} WHERE {condition}")


def _join(draw: Draw) -> Problem:
    table, other = draw_table(draw), draw_table(draw)
    while other[0] == table[0]:
        other = draw_table(draw)
    column = draw.pick([f"{one_of(table[0])}_id", "id", draw.pick(table[1] + table[2])])
    request = phrase(draw, words.JOINS, table=table[0], other=other[0], col=column)
    condition = f"{table[0]}.{column} = {other[0]}.{column}"
    query = f"SELECT * FROM {table[0]} JOIN {other[0]} ON {condition}"
    content = draw.say(words.FRAMES, request=request, Request=request.capitalize())
    return Problem("sql", (f"sql:{query}",), ask(content), f"{query};")


def _insert(draw: Draw) -> Problem:
    table = draw_table(draw)
    _, columns = _columns(draw, table)
    values = [value_of(draw, table, column) for column in columns]
    form = draw.pick(["{} {}", "{} {}", "{}={}", "{} = {}", "{}: {}"])
    pairs = [form.format(column, value[0]) for column, value in zip(columns, values, strict=True)]
    request = phrase(
        draw,
        words.INSERTS,
        table=table[0],
        one=one_of(table[0]),
        pairs=enumerated(draw, pairs),
        cols=", ".join(columns),
        values=", ".join(value[0] for value in values),
    )
    written = ", ".join(value[1] for value in values)
    query = f"INSERT INTO {table[0]} ({', '.join(columns)}) VALUES ({written})"
    return _problem(draw, table, request, query)


def _update(draw: Draw) -> Problem:
    table = draw_table(draw)
    column = draw.pick(table[1] + table[2])
    shown, value = value_of(draw, table, column)
    if draw.chance(0.2):
        request = phrase(draw, words.UPDATES_ALL, table=table[0], col=column, value=shown)
        return _problem(draw, table, request, f"UPDATE {table[0]} SET {column} = {value}")
    if draw.chance(0.4):
        which, condition = which_one(draw, table)
        slots = {"table": table[0], "one": one_of(table[0]), "col": column, "value": shown}
        request = phrase(draw, words.UPDATES_ONE, which=which, **slots)
        query = f"UPDATE {table[0]} SET {column} = {value} WHERE {condition}"
        return _problem(draw, table, request, query)
    makers = (number_condition, text_condition)
    text, condition = draw.pick(makers)(draw, table)
    request = phrase(
        draw, words.UPDATES, table=table[0], col=column, value=shown, where=f"where {text}"
    )
    query = f"UPDATE {table[0]} SET {column} = {value} WHERE {condition}"
    return _problem(draw, table, request, query)


def _delete(draw: Draw) -> Problem:
    table = draw_table(draw)
    slots = {"table": table[0], "one": one_of(table[0])}
    if draw.chance(0.2):
        request = phrase(draw, words.DELETES_ALL, **slots)
        return _problem(draw, table, request, f"DELETE FROM {table[0]}")
    if draw.chance(0.35):
        which, condition = which_one(draw, table)
        request = phrase(draw, words.DELETES_ONE, which=which, **slots)
        return _problem(draw, table, request, f"DELETE FROM {table[0]} WHERE {condition}")
    text, condition = where(draw, table)
    request = phrase(draw, words.DELETES, where=text, **slots)
    return _problem(draw, table, request, f"DELETE FROM {table[0]}{condition}")


def _define(draw: Draw) -> Problem:
    """A table that is made, dropped or given a column."""
    table = draw_table(draw)
    kind = draw.rng.random()
    if kind < 0.25:
        request = phrase(draw, words.DROPS, table=table[0])
        return _problem(draw, table, request, f"DROP TABLE {table[0]}")
    if kind < 0.45:
        column = draw.pick(table[1] + table[2])
        kind_of = "INTEGER" if column in table[2] else "TEXT"
        request = phrase(draw, words.ADD_COLUMNS, table=table[0], col=column)
        query = f"ALTER TABLE {table[0]} ADD COLUMN {column} {kind_of}"
        return _problem(draw, table, request, query)
    _, columns = _columns(draw, table)
    typed = [f"{column} {'INTEGER' if column in table[2] else 'TEXT'}" for column in columns]
    shown = enumerated(draw, columns)
    if draw.chance(0.3):
        names = draw.pick([("TEXT", "INTEGER"), ("text", "int"), ("string", "number")])
        form = draw.pick(["{} {}", "{} {}", "{} ({})", "{}: {}"])
        kinds = [form.format(column, names[column in table[2]]) for column in columns]
        shown = enumerated(draw, kinds)
    request = phrase(draw, words.CREATES, table=table[0], cols=shown)
    return _problem(draw, table, request, f"CREATE TABLE {table[0]} ({', '.join(typed)})")


KINDS: Kinds = (
    (_select, 9),
    (_count, 2),
    (_aggregate, 2),
    (_distinct, 1),
    (_group, 1),
    (_top, 1.2),
    (_one, 1),
    (_join, 0.7),
    (_insert, 2),
    (_update, 2),
    (_delete, 2),
    (_define, 1.5),
)


def sql_query(draw: Draw) -> Problem:
    """Translate a request on a table into SQL."""
    return one_kind(draw, KINDS)
