"""Questions on JSON: a value, the keys, the values, their number, whether a key is there."""

from typing import Any

from training.tasks.json.broken import broken
from training.tasks.json.values import (
    LIST_KEYS,
    Record,
    Value,
    name_of,
    record,
    shown,
    subject,
    text_value,
    value_of,
    whole,
)
from training.tasks.problem import Problem, as_json, ask
from training.tasks.text.layouts import Kinds, one_kind, ordinal
from training.tasks.words import CITIES, JOBS
from training.wordings import Draw

GET = (
    "[What is|What's|whats] [the |]{key} in {json}?",
    "[What is|What's] the value of [the key |]{key} in {json}?",
    "[What is|What's] the value [of|for] {key}? {json}",
    "[What is|What's|whats] the {key}? {json}",
    "[What is|What's] the {key} [here|in this|in this JSON|in the JSON|of this object]: {json}",
    "~[Get|Read|Find|Extract|Return|Show|Give me] [the |]{key} [from|in|of] {json}",
    "~[Get|Read|Find|Extract|Return|Show|Give me] the value of [the key |]{key} [from|in] {json}",
    "~[Get|Read|Find|Return] [the |]{key} [from this|in this JSON|of this object]: {json}",
    "{json} [What is|What's] [the |]{key}?",
    "{json} [What is|What's] the value of {key}?",
    "{json}\n{key}[?|:]",
    "{json}[{key}]",
    "Given {json}, what is [the |]{key}?",
    "In {json}, what is [the |]{key}?",
    "~Look up {key} in {json}",
    "[Which|What] value does {key} have in {json}?",
    "What does {key} [equal|contain|hold] in {json}?",
    "[Value|The value] of {key} in {json}[?|]",
    "[I have|Here is|Take] {json}. [What is|Tell me] the {key}[?|.]",
    "[JSON|Object|Input]: {json}\n[Question: |]what is the {key}?",
    "{key} [in|of|from] {json}[?|]",
    "[I need|I want] [the |]{key} [from|of|in] {json}",
    "What is stored under {key} in {json}?",
    "~Tell me the {key}: {json}",
    "[json.get|get]({key}) {json}",
)
DEEP = (
    "[What is|What's] {path} in {json}?",
    "[What is|What's] the value of {path} in {json}?",
    "~[Get|Read|Find|Return|Extract] {path} from {json}",
    "~[Get|Read|Find|Return] the value [of|at] {path} in {json}",
    "{json} [What is|What's] {path}?",
    "{json}\n{path}[?|]",
    "Given {json}, what is {path}?",
    "In {json}, what is {path}?",
    "~Look up {path}: {json}",
    "[Value|The value] of {path} in {json}[?|]",
    "[I have|Here is|Take] {json}. [What is|Tell me] {path}[?|.]",
    "[JSON|Object|Input]: {json}\n[Question: |]what is {path}?",
    "{path} [in|of|from] {json}",
    "[Which|What] value is at {path}? {json}",
)
FIND_KEY = (
    "[Which|What] key has the value {value} in {json}?",
    "[Which|What] [key|field] is {value} in {json}?",
    "~Find the key [with|of|for] the value {value} in {json}",
    "{json} [Which|What] key has the value {value}?",
    "What is the key [of|for] the value {value} in {json}?",
    "[Under which|Under what] key is {value} stored in {json}?",
    "In {json}, which key [holds|has] {value}?",
    "[Which|What] key belongs to [the value |]{value}? {json}",
    "{json}\n[The key|Key] of {value}?",
    "~[Return|Give me|Tell me|Get] the key whose value is {value}: {json}",
    "~Look for the value {value} and [return|give me] its key: {json}",
    "Given {json}, what key has value {value}?",
)
KEYS = (
    "~List [the |]keys [of|in|for] {json}",
    "~[List|Show|Give me|Get|Return|Print|Tell me] [all |]the keys [of|in|from] {json}",
    "~[List|Show|Get|Return] all keys: {json}",
    "[What are|What're|Which are] the keys [of|in] {json}?",
    "[What|Which] keys [are in|does this JSON have|are there in|are in this object][:| -] {json}",
    "[What|Which] [keys|fields] does {json} have?",
    "{json} [What are the keys?|List the keys.|Which keys are there?|Give me the keys.]",
    "{json}\n[Keys|The keys|All keys|Keys?]",
    "[keys of|Keys in|Keys of|All keys of|The keys of] {json}",
    "Given {json}, [list|return|name] [its|the] keys.",
    "{json}.keys()",
    "~Extract [the|all] [keys|field names|property names] from {json}",
    "~Name [the|all] [keys|fields|properties] [of|in] [this JSON|this object|this]: {json}",
    "[I need|I want] [the keys|a list of the keys|only the keys] of {json}",
    "[JSON|Object|Input]: {json}\nKeys:",
    "Object.keys({json})",
    "~Write the keys of {json} as a list.",
)
VALUES = (
    "~List the values [of|in] {json}",
    "~[List|Show|Give me|Get|Return|Print|Tell me] [all |]the values [of|in|from] {json}",
    "[What are|Which are] the values [of|in] {json}?",
    "[What|Which] values [are in|does this JSON have|are there in][:| -] {json}",
    "{json} [What are the values?|List the values.|Give me the values.]",
    "{json}\n[Values|The values|All values|Values?]",
    "[values of|Values in|Values of|All values of|The values of] {json}",
    "Given {json}, [list|return|name] [its|the] values.",
    "{json}.values()",
    "~Extract [the|all] values from {json}",
    "[I need|I want] [the values|a list of the values|only the values] of {json}",
    "Object.values({json})",
)
TYPE = (
    "[What is|What's] the type of {key} in {json}?",
    "[What|Which] type [is|has] {key} in {json}?",
    "[What|Which] [JSON |data |]type is the value of {key}? {json}",
    "{json} [What|Which] type [is|has] {key}?",
    "{json}\n[Type of|The type of|JSON type of] {key}[?|]",
    "In {json}, what type does {key} have?",
    "~[Tell me|Give me|Find|Name] the type of {key} in {json}",
    "Given {json}, what is the type of {key}?",
    "[Type|The type|JSON type] of [the value of |]{key} in {json}[?|]",
    "typeof {key} in {json}",
    "What kind of value does {key} hold in {json}?",
    "Is {key} a string, number, boolean, array or null? {json}",
)
COUNT = (
    "How many keys [does {json} have|are in {json}|are there in {json}]?",
    "How many [keys|fields|properties|entries] [are in this JSON|does this JSON have|are here|does "
    "this object have]? {json}",
    "~Count the [keys|fields|properties|entries] [of|in] {json}",
    "~Count the [keys|fields]: {json}",
    "{json} How many [keys|fields|entries] [are there|does it have|is that]?",
    "{json}\n[Number of keys|Count the keys|How many keys]?",
    "[What is|Tell me|Give me] the number of [keys|fields] in {json}",
    "[Number of keys|Count of keys|Key count] [in|of] {json}",
    "len({json})",
    "Given {json}, how many keys are there?",
    "{json} has how many keys?",
    "[JSON|Object|Input]: {json}\nHow many keys?",
)
HAS = (
    "Does {json} [have|contain|include] [a|the] key {key}?",
    "Does {json} have [a|the] [field|property] {key}?",
    "Is {key} [in|a key of|a key in|present in|one of the keys of] {json}?",
    "Is there [a|the] [key|field] {key} in {json}?",
    "Is the key {key} [there|present|in it|set]? {json}",
    "{json} [Is there a key|Does it have a key|Does it have the key|Has it a key] {key}?",
    "{json}\n[Has|Contains] [the key |]{key}?",
    "~[Check|Tell me|Test|Say] [if|whether] {json} has [a|the] key {key}[.|: yes or no?]",
    "~[Check|Tell me|Test] [if|whether] {key} is [a key |]in {json}",
    "Does this [JSON|object] [have|contain] [a key |the key |]{key}? {json}",
    "Yes or no: is {key} a key of {json}?",
    "Given {json}, is there a key {key}?",
    "[Can you find|Do you see] the key {key} in {json}?",
)
VALID = (
    "Is this [valid|correct|proper|legal] JSON? {json}",
    "Is {json} [valid|correct|proper] JSON?",
    "{json} [Is this|Is that] [valid|correct|legal] JSON?",
    "~[Check|Tell me|Say] [if|whether] this is valid JSON: {json}",
    "~Validate [this JSON|the JSON|this]: {json}",
    "Valid JSON? {json}",
    "{json}\nValid[ JSON|]?",
    "[Will|Does|Would] this [JSON |]parse? {json}",
    "Yes or no: is this valid JSON? {json}",
    "[Can this be parsed|Is this parseable] as JSON? {json}",
    "Is the [syntax|JSON syntax] [correct|right|valid] here? {json}",
    "json valid or not: {json}",
    "~Check the syntax of this JSON: {json}",
)
PICK_OUT = (
    "[What is|What's] {name}'s {key} in {json}?",
    "[What is|What's] the {key} of {name} in {json}?",
    "~[Find|Get|Return|Tell me|Look up] the {key} of {name} in {json}",
    "{json} [What is|What's] the {key} of {name}?",
    "{json} [What is|What's] {name}'s {key}?",
    "~[Get|Find|Look up|Read] {name}'s {key}: {json}",
    "Given {json}, what is the {key} of {name}?",
    "{json}\n{name}'s {key}?",
    "In {json}, what is {name}'s {key}?",
    "[Which|What] {key} does {name} have? {json}",
    "[The |]{key} [of|for] {name} [in|from] {json}",
    "[JSON|Data|Input]: {json}\nWhat {key} has {name}?",
)
COLUMN = (
    "~[List|Show|Get|Return|Give me|Extract] [all |the |all the |]{key} values [in|from|of] {json}",
    "~[List|Show|Get|Return|Extract] [the |each |every ]{key} [of|from] [each|every] object[:| in] "
    "{json}",
    "[What are|Which are] the {key} values in {json}?",
    "{json} [List|Show|Return] [every|each] {key}.",
    "{json}\n[All|Every] {key}",
    "{json} -> [every|each|all] {key}",
    "~Make a list of [every|each] {key} in {json}",
    "From {json}, [take|list|collect] every {key}.",
    "~Collect the {key} of [all objects|every object|each entry]: {json}",
    "~Write the {key} of each object as a list: {json}",
    "[I need|I want] every {key} [in|from] {json}",
    "[Every|Each|All] {key} [in|from] {json}",
)


def _problem(
    draw: Draw, templates: tuple[str, ...], data: object, answer: str, checker: str, **slots: Any
) -> Problem:
    request = draw.say(templates, json=shown(draw, data), **slots)
    return Problem("json_read", (f"json:{as_json(data)}",), ask(request), answer, checker)


def _get(draw: Draw) -> Problem:
    facts = subject(draw)
    key = draw.pick(list(facts))
    return _problem(draw, GET, facts, as_json(facts[key]), "json", key=name_of(draw, key))


def _deep(draw: Draw) -> Problem:
    """A value inside of an object or a list."""
    if draw.chance(0.5):
        key = draw.slot(LIST_KEYS)
        items: list[Value] = list(
            dict.fromkeys(text_value(draw, key) for _ in range(draw.pick([2, 3, 4])))
        )
        if draw.chance(0.25):
            items = [whole(draw) for _ in range(draw.pick([2, 3, 4]))]
        at = draw.rng.randrange(len(items))
        count = ordinal(draw, at + 1)
        path = draw.pick([f"{key}[{at}]", f"the {count} of {key}", f"the {count} item of {key}"])
        if at == len(items) - 1 and draw.chance(0.4):
            path = draw.pick([f"the last of {key}", f"the last item of {key}"])
        return _problem(draw, DEEP, {key: items}, as_json(items[at]), "json", path=path)
    outer = draw.pick("user person address product order item profile settings owner car".split())
    inner = record(draw, draw.pick([1, 2, 2, 3]), flat=True)
    others = record(draw, 1, flat=True) if draw.chance(0.3) else {}
    others.pop(outer, None)
    key = draw.pick(list(inner))
    forms = [
        f"{outer}.{key}",
        f"{outer}.{key}",
        f'{outer}["{key}"]',
        f"the {key} of the {outer}",
        f"the {outer}'s {key}",
        f"{key} in {outer}",
    ]
    data = {**others, outer: inner}
    return _problem(draw, DEEP, data, as_json(inner[key]), "json", path=draw.pick(forms))


def _find_key(draw: Draw) -> Problem:
    facts = subject(draw, 2)
    key = draw.pick(list(facts))
    while [as_json(value) for value in facts.values()].count(as_json(facts[key])) > 1:
        facts = subject(draw, 2)
        key = draw.pick(list(facts))
    value = value_of(draw, facts[key])
    return _problem(draw, FIND_KEY, facts, as_json(key), "json", value=value)


def _keys(draw: Draw) -> Problem:
    facts = subject(draw)
    return _problem(draw, KEYS, facts, as_json(list(facts)), "json")


def _values(draw: Draw) -> Problem:
    facts = subject(draw)
    return _problem(draw, VALUES, facts, as_json(list(facts.values())), "json")


def _count(draw: Draw) -> Problem:
    facts = record(draw, draw.rng.randint(1, 6), flat=True) if draw.chance(0.6) else subject(draw)
    return _problem(draw, COUNT, facts, str(len(facts)), "exact")


def _has(draw: Draw) -> Problem:
    facts = subject(draw)
    key = draw.pick(list(facts))
    if draw.chance(0.5):
        others = record(draw, 2)
        key = draw.pick(["name", "age", "city", "email", draw.pick(list(others))])
    answer = "Yes" if key in facts else "No"
    return _problem(draw, HAS, facts, answer, "exact", key=name_of(draw, key))


def _valid(draw: Draw) -> Problem:
    facts = subject(draw)
    text, answer = shown(draw, facts), "Yes"
    if draw.chance(0.5):
        text, answer = broken(draw, facts), "No"
    request = draw.say(VALID, json=text)
    return Problem("json_read", (f"json:{as_json(facts)}",), ask(request), answer)


def _people(draw: Draw) -> tuple[list[Record], str]:
    key = draw.pick(["age", "age", "city", "job"])
    rows: dict[str, Record] = {}
    count = draw.pick([2, 2, 3])
    while len(rows) < count:
        name = draw.name()
        value: Value = draw.rng.randint(3, 90)
        if key != "age":
            value = draw.slot({"city": CITIES, "job": JOBS}[key])
        rows[name] = {"name": name, key: value}
    return list(rows.values()), key


def _pick_out(draw: Draw) -> Problem:
    """A value of one object of a list."""
    rows, key = _people(draw)
    row = draw.pick(rows)
    answer = as_json(row[key])
    return _problem(draw, PICK_OUT, rows, answer, "json", name=row["name"], key=key)


def _column(draw: Draw) -> Problem:
    """One value of every object of a list."""
    rows, key = _people(draw)
    key = draw.pick([key, "name"])
    return _problem(draw, COLUMN, rows, as_json([row[key] for row in rows]), "json", key=key)


def _type(draw: Draw) -> Problem:
    """The JSON type of a value."""
    facts = record(draw, draw.pick([1, 2, 2, 3]))
    key = draw.pick(list(facts))
    types = {bool: "boolean", int: "number", float: "number", str: "string", list: "array"}
    answer = types.get(type(facts[key]), "null")
    return _problem(draw, TYPE, facts, answer, "exact", key=name_of(draw, key))


KINDS: Kinds = (
    (_type, 1),
    (_get, 6),
    (_deep, 2),
    (_find_key, 1),
    (_keys, 3),
    (_values, 1.5),
    (_count, 1.5),
    (_has, 2),
    (_valid, 1),
    (_pick_out, 1.5),
    (_column, 1),
)


def read_json(draw: Draw) -> Problem:
    """Answer a question on JSON; values are given as JSON."""
    return one_kind(draw, KINDS)
