"""JSON extraction, JSON editing and SQL queries."""

from random import Random

from training.tasks.problem import Problem, as_json, ask
from training.tasks.words import CITIES, COLORS, JOBS, LAST_NAMES, NAMES

TABLES = {
    "users": ("name age city email", "age"),
    "products": ("name price color stock", "price"),
    "orders": ("id customer total date", "total"),
    "books": ("title author year pages", "year"),
    "movies": ("title director year rating", "rating"),
    "employees": ("name salary team city", "salary"),
    "cars": ("brand model year price", "price"),
    "songs": ("title artist length year", "length"),
}
PHRASES = {
    "age": ["is {} years old", "is {}", "turned {} this year"],
    "city": ["lives in {}", "is from {}"],
    "job": ["works as a {}", "is a {}"],
    "color": ["likes {}", "loves the color {}"],
}
NEW_NAMES = {"name": "title", "age": "years", "city": "town", "job": "work", "color": "paint"}


def _person(rng: Random) -> dict[str, object]:
    full_name = rng.choice(NAMES) + (f" {rng.choice(LAST_NAMES)}" if rng.random() < 0.6 else "")
    return {
        "name": full_name,
        "age": rng.randint(5, 90),
        "city": rng.choice(CITIES),
        "job": rng.choice(JOBS),
        "color": rng.choice(COLORS),
    }


def extract_json(rng: Random) -> Problem:
    """Turn a sentence about a person into a JSON object."""
    person = _person(rng)
    fields = rng.sample(list(PHRASES), rng.randint(1, 4))
    parts = [rng.choice(PHRASES[field]).format(person[field]) for field in fields]
    clause = parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]
    question = rng.choice(
        ["Extract JSON: {}", "Turn this into JSON: {}", "{} Give me that as JSON."]
    ).format(f"{person['name']} {clause}.")
    answer = as_json({"name": person["name"]} | {field: person[field] for field in fields})
    return Problem("json", ("json:" + answer,), ask(question), answer, "json")


def edit_json(rng: Random) -> Problem:
    """Get, set, add, rename or delete a key of a JSON object, or list its keys."""
    person = _person(rng)
    fields = rng.sample(list(person), rng.randint(2, 4))
    record = {field: person[field] for field in fields}
    field, fresh = rng.choice(fields), _person(rng)
    text = as_json(record)
    result: object
    match rng.choice(["get", "set", "add", "rename", "delete", "keys"]):
        case "get":
            question = rng.choice(
                [f'What is the value of "{field}" in {text}?', f'Get "{field}" from {text}']
            )
            result = record[field]
        case "set":
            value = fresh[field]
            question = rng.choice(
                [
                    f'Set "{field}" to {as_json(value)} in {text}',
                    f'Change "{field}" to {as_json(value)} in {text}',
                ]
            )
            result = record | {field: value}
        case "add":
            added = rng.choice([name for name in person if name not in fields])
            question = f'Add "{added}": {as_json(fresh[added])} to {text}'
            result = record | {added: fresh[added]}
        case "rename":
            new = NEW_NAMES[field]
            question = f'Rename "{field}" to "{new}" in {text}'
            result = {new if name == field else name: value for name, value in record.items()}
        case "delete":
            question = rng.choice(
                [f'Delete "{field}" from {text}', f'Remove "{field}" from {text}']
            )
            result = {name: value for name, value in record.items() if name != field}
        case _:
            question = f"List the keys of {text}"
            result = fields
    return Problem("json_edit", ("json_edit:" + text,), ask(question), as_json(result), "json")


def sql_query(rng: Random) -> Problem:
    """Translate a request for rows of a table into SQL."""
    table = rng.choice(list(TABLES))
    names, number = TABLES[table]
    columns = names.split()
    kind = rng.choice(["all", "count", "some", "some"])
    if kind == "all":
        chosen, request = "*", "everything"
    elif kind == "count":
        chosen, request = "COUNT(*)", "count"
    else:
        some = rng.sample(columns, rng.randint(1, 2))
        chosen, request = ", ".join(some), " and ".join(some)
    query = f"SELECT {chosen} FROM {table}"
    if kind == "count":
        prompt = rng.choice([f"Count the {table}", f"How many {table} are there"])
    else:
        prompt = rng.choice(
            [
                f"Show {request} from {table}",
                f"Get {request} of all {table}",
                f"List {request} from {table}",
            ]
        )
    draw = rng.random()
    if draw < 0.45:
        sign, words = rng.choice([(">", "greater than"), ("<", "less than"), ("=", "equal to")])
        value = rng.randint(1, 999)
        query += f" WHERE {number} {sign} {value}"
        prompt += f" where {number} is {words} {value}"
    elif draw < 0.65:
        column = rng.choice([name for name in columns if name != number])
        text = rng.choice({"city": CITIES, "color": COLORS}.get(column, NAMES))
        query += f" WHERE {column} = '{text}'"
        prompt += f" where {column} is {text}"
    if kind != "count":
        if rng.random() < 0.4:
            column, descending = rng.choice(columns), rng.random() < 0.5
            query += f" ORDER BY {column}" + (" DESC" if descending else "")
            prompt += f" sorted by {column}" + (" descending" if descending else "")
        if rng.random() < 0.3:
            limit = rng.randint(1, 50)
            query += f" LIMIT {limit}"
            prompt += f", first {limit} rows"
    end = "?" if prompt.startswith("How") else "."
    return Problem("sql", ("sql:" + query,), ask(f"SQL: {prompt}{end}"), query + ";")
