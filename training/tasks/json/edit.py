"""JSON objects with one thing changed: a key set, added, removed or renamed, a list edited."""

from typing import Any

from training.tasks.json.edit_words import (
    ADD,
    APPEND,
    INCREMENT,
    KEEP,
    MERGE,
    REMOVE,
    RENAME,
    SET,
    SHIFT,
    SORT_KEYS,
    SWAP,
    TAKE,
    TOGGLE,
)
from training.tasks.json.values import (
    FLAG_KEYS,
    LIST_KEYS,
    TEXT_KEYS,
    WHOLE_KEYS,
    Record,
    Value,
    entry,
    name_of,
    named_keys,
    plain,
    record,
    shown,
    subject,
    text_value,
    value_of,
    whole,
    whole_value,
)
from training.tasks.problem import Problem, as_json, ask
from training.tasks.text.layouts import Kinds, one_kind
from training.tasks.words import CITIES
from training.wordings import Draw

NEW_NAMES = {
    "name": "title full_name label nick",
    "age": "years age_years old",
    "city": "town location place",
    "job": "work role profession",
    "color": "colour paint",
    "price": "cost amount",
    "email": "mail contact",
    "year": "date when",
}


def another(draw: Draw, key: str, value: Value) -> Value:
    """A different value of the same type."""
    while True:
        new: Value
        if isinstance(value, bool):
            new = not value
        elif isinstance(value, int):
            new = whole_value(draw, key) if value > 9 else draw.rng.randint(0, 99)
        elif isinstance(value, float):
            new = round(draw.rng.randint(1, 99) + draw.rng.randint(1, 9) / 10, 1)
        elif isinstance(value, str):
            new = text_value(draw, key)
            new = draw.word() if new == value else new
        else:
            new = whole(draw)
        if new != value:
            return new


def _edited(
    draw: Draw, templates: tuple[str, ...], before: object, after: object, **slots: Any
) -> Problem:
    request = draw.say(templates, json=shown(draw, before), **slots)
    return Problem("json_edit", (f"json:{as_json(before)}",), ask(request), as_json(after), "json")


def _set(draw: Draw) -> Problem:
    facts = subject(draw)
    key = draw.pick(list(facts))
    value: Value = another(draw, key, facts[key])
    if draw.chance(0.06):
        value = None
    slots = {"key": name_of(draw, key), "value": value_of(draw, value)}
    return _edited(draw, SET, facts, facts | {key: value}, **slots)


def _add(draw: Draw) -> Problem:
    facts = subject(draw)
    key, value = entry(draw)
    while key in facts:
        key, value = entry(draw)
    if "name" in facts and draw.chance(0.5):
        choices: Record = {
            "city": draw.slot(CITIES),
            "age": whole_value(draw, "age"),
            "active": True,
        }
        key = draw.pick([name for name in choices if name not in facts])
        value = choices[key]
    plain_pair = draw.pick(["{}: {}", "{} = {}", "{}={}", "{} {}"])
    pair = plain_pair.format(key, plain(value))
    if isinstance(value, list) or draw.chance(0.5):
        pair = f'"{key}": {as_json(value)}'
        if draw.chance(0.15):
            pair = f"{{{pair}}}"
    slots = {"pair": pair, "key": name_of(draw, key), "value": value_of(draw, value)}
    return _edited(draw, ADD, facts, facts | {key: value}, **slots)


def _remove(draw: Draw) -> Problem:
    facts = subject(draw)
    key = draw.pick(list(facts))
    rest = {name: value for name, value in facts.items() if name != key}
    return _edited(draw, REMOVE, facts, rest, key=name_of(draw, key))


def _rename(draw: Draw) -> Problem:
    facts = subject(draw)
    key = draw.pick(list(facts))
    new = draw.pick(NEW_NAMES[key].split()) if key in NEW_NAMES else draw.word()
    if draw.chance(0.3):
        new = draw.slot(TEXT_KEYS)
    while new in facts:
        new = draw.word()
    form = draw.rng.choices(("{}", '"{}"', "'{}'"), (6, 4, 1))[0]
    slots = {"key": form.format(key), "new": form.format(new)}
    after = {new if name == key else name: value for name, value in facts.items()}
    return _edited(draw, RENAME, facts, after, **slots)


def _list_edit(draw: Draw) -> Problem:
    key = draw.slot(LIST_KEYS)
    values = list(dict.fromkeys(text_value(draw, key) for _ in range(draw.pick([2, 3, 4, 5]))))
    if draw.chance(0.3):
        values = [str(number) for number in draw.rng.sample(range(1, 60), draw.pick([2, 3, 4]))]
    items: list[Value] = [int(value) if value.isdigit() else value for value in values]
    others = subject(draw) if draw.chance(0.45) else {}
    others.pop(key, None)
    name = name_of(draw, key)
    if len(items) > 2 and draw.chance(0.35):
        value = draw.pick(items)
        rest = [item for item in items if item != value]
        before, after = {**others, key: items}, {**others, key: rest}
        return _edited(draw, TAKE, before, after, key=name, value=value_of(draw, value))
    *first, last = items
    if not first:
        first = [last]
    before, after = {**others, key: first}, {**others, key: [*first, last]}
    return _edited(draw, APPEND, before, after, key=name, value=value_of(draw, last))


def _sort_keys(draw: Draw) -> Problem:
    facts = subject(draw, 2)
    keys = list(facts)
    draw.rng.shuffle(keys)
    return _edited(draw, SORT_KEYS, {key: facts[key] for key in keys}, dict(sorted(facts.items())))


def _shift(draw: Draw) -> Problem:
    key = draw.pick(["age", "age", "count", "x", "a", draw.slot(WHOLE_KEYS)])
    value = draw.rng.randint(0, draw.pick([9, 30, 99]))
    others = subject(draw) if draw.chance(0.6) else {}
    before = {**others, key: value} if draw.chance(0.5) else {key: value, **others}
    before[key] = value
    if draw.chance(0.5):
        return _edited(draw, INCREMENT, before, before | {key: value + 1}, key=name_of(draw, key))
    amount = draw.pick([1, 2, 3, 5, 10, draw.rng.randint(2, 9)])
    after = before | {key: value + amount}
    return _edited(draw, SHIFT, before, after, key=name_of(draw, key), amount=amount)


def _toggle(draw: Draw) -> Problem:
    key, value = draw.slot(FLAG_KEYS), draw.chance(0.5)
    others = subject(draw) if draw.chance(0.6) else {}
    before = {**others, key: value} if draw.chance(0.5) else {key: value, **others}
    before[key] = value
    return _edited(draw, TOGGLE, before, before | {key: not value}, key=name_of(draw, key))


def _keep(draw: Draw) -> Problem:
    facts = record(draw, draw.pick([2, 3, 3, 4, 5]), flat=True)
    some = draw.rng.sample(list(facts), draw.rng.randint(1, len(facts) - 1))
    kept = {key: value for key, value in facts.items() if key in some}
    return _edited(draw, KEEP, facts, kept, keys=named_keys(draw, list(kept)))


def _merge(draw: Draw) -> Problem:
    facts = record(draw, draw.pick([2, 2, 3, 4]), flat=True)
    keys = list(facts)
    at = draw.rng.randint(1, len(keys) - 1)
    before = {key: facts[key] for key in keys[:at]}
    other = {key: facts[key] for key in keys[at:]}
    return _edited(draw, MERGE, before, facts, other=shown(draw, other))


def _swap(draw: Draw) -> Problem:
    facts = subject(draw, 2)
    while len(facts) < 2:
        facts = subject(draw, 2)
    a, b = draw.rng.sample(list(facts), 2)
    after = facts | {a: facts[b], b: facts[a]}
    return _edited(draw, SWAP, facts, after, a=name_of(draw, a), b=name_of(draw, b))


KINDS: Kinds = (
    (_swap, 0.7),
    (_set, 5),
    (_add, 4),
    (_remove, 4),
    (_rename, 3),
    (_list_edit, 3),
    (_sort_keys, 1.5),
    (_shift, 1.5),
    (_toggle, 1),
    (_keep, 1),
    (_merge, 1.5),
)


def edit_json(draw: Draw) -> Problem:
    """Change one thing of a JSON object."""
    return one_kind(draw, KINDS)
