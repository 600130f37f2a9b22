"""Queries of several clauses in the words of a noun phrase: trained on, never counted."""

from training.tasks.json.values import enumerated
from training.tasks.phrases import phrase
from training.tasks.problem import Problem, ask
from training.tasks.sql import words
from training.tasks.sql.tables import draw_table, one_of, plural, where
from training.wordings import Draw

SUBJECTS = (
    "the {cols} of [every|each] {one}",
    "[the |]{cols} in {table}",
    "[the |]{cols} from {table}",
    "[|the ]{table} with [their|just their|only] {cols}",
    "for [every|each] {one} the {cols}",
    "{table}: {cols}",
)
DOWN = (
    ", [highest|largest|biggest|greatest] {col} first",
    ", [sorted|ordered|ranked] by {col}, [highest|largest|biggest|last] first",
    "[sorted|ordered|ranked] by {col} [going down|from the top|from high to low]",
    ", by {col}, [the |][highest|largest|biggest] [first|on top]",
    "with the [highest|largest|biggest] {col} [first|on top]",
    ", {col} [descending|from the top]",
)
UP = (
    ", [lowest|smallest|least] {col} first",
    ", [sorted|ordered|ranked] by {col}, [lowest|smallest|least] first",
    "[sorted|ordered|arranged] by {col} [going up|from low to high|from the bottom]",
    ", by {col}, [the |][lowest|smallest] [first|on top]",
    "with the [lowest|smallest] {col} [first|on top]",
    ", {col} [ascending|from the bottom]",
)
LIMITS = (
    ", [just|only] [the first |]{n}",
    ", no more than {n}",
    ", {n} [of them|rows|at most]",
    "[and |]stop after {n}",
    ", [the |]first {n} [of them|rows]",
    ", {n} [in all|in total]",
)
TABLES = (
    "(table {table}, columns {all})",
    "({table} has {all})",
    ". The table {table} has {all}",
    "(columns of {table}: {all})",
    ". Columns: {all}",
    ", where {table} has {all}",
)


def several_clauses(draw: Draw) -> Problem:
    """Columns of a table with a condition, an order and a limit, at least two of the three."""
    table = draw_table(draw)
    columns = table[1] + table[2]
    wanted = draw.rng.sample(columns, min(len(columns), draw.pick((1, 1, 2))))
    names = [plural(name) for name in wanted] if draw.chance(0.4) else wanted
    slots = {"table": table[0], "one": one_of(table[0]), "cols": enumerated(draw, names)}
    request = phrase(draw, SUBJECTS, **slots)
    query = f"SELECT {', '.join(wanted)} FROM {table[0]}"
    left_out = draw.pick(("condition", "order", "limit", "limit", "limit", None))
    if left_out != "condition":
        text, condition = where(draw, table)
        request, query = _with(request, text), query + condition
    if left_out != "order":
        column, is_down = draw.pick(table[2] or columns), draw.chance(0.6)
        request = _with(request, phrase(draw, DOWN if is_down else UP, col=column))
        query += f" ORDER BY {column}" + (" DESC" if is_down else "")
    if left_out != "limit":
        limit = draw.pick((1, 3, 5, 10, 10, 20, draw.rng.randint(2, 50)))
        request = _with(request, phrase(draw, LIMITS, n=limit))
        query += f" LIMIT {limit}"
    if draw.chance(0.25):
        request = _with(request, phrase(draw, TABLES, table=table[0], all=", ".join(columns)))
    request = " ".join(request.split()).replace(" ,", ",")
    upper = request[0].upper() + request[1:]
    content = draw.say(words.NOUN_FRAMES, request=request, Request=upper)
    return Problem("sql", (f"sql:{query}",), ask(content), f"{query};")


def _with(request: str, clause: str) -> str:
    """The request and a clause, parted by a space if it does not begin with a comma or a stop."""
    return request + (clause if clause.startswith((",", ".")) else f" {clause}")
