"""JSON out of keys and values, lists, tables and several people."""

from training.tasks.json.extract import to_json
from training.tasks.json.values import (
    LIST_KEYS,
    Record,
    Value,
    enumerated,
    full_name,
    plain,
    record,
    size,
    text_value,
    whole,
    whole_value,
)
from training.tasks.problem import Problem, as_json
from training.tasks.text.layouts import Kinds, listed_words, one_kind, say_list
from training.tasks.text.layouts import size as length
from training.tasks.words import ANIMALS, CITIES, COLORS, FRUITS, JOBS
from training.wordings import Draw

PAIRS_TO_JSON = (
    "~[Make|Write|Create|Generate|Give me|Build|Return|Produce|Output] [JSON|a JSON object|a JSON|"
    "a JSON record] with {pairs}.",
    "~[Convert|Turn|Transform|Change|Parse|Rewrite] [this|these|the following|these pairs] "
    "[to|into] [JSON|a JSON object]: {pairs}",
    "~[Convert|Turn] {pairs} [to|into] JSON[.|]",
    "[JSON|To JSON|As JSON|In JSON|JSON object|json][:|] {pairs}",
    "{pairs} [to|as|in|into|->|=>] [JSON|json|a JSON object]",
    "{pairs}. [Make|Turn this into|Write this as|Convert to|Put this in] JSON.",
    "[A JSON object|JSON object|JSON|An object] [with|where|in which] {pairs}",
    "[How do I write|How would you write|What is] {pairs} [in|as] JSON?",
    "~[Write|Represent|Express|Format|Show|Encode|Serialize|Serialise] [this|the following|these] "
    "[as|in] JSON: {pairs}",
    "~[Write|Represent|Express|Format|Show|Encode] {pairs} as [JSON|a JSON object].",
    "[I need|I want|gimme|Give me|Show me] [a JSON object|JSON|an object|a json] "
    "[with|where|that says] {pairs}.",
    "[Data|Input|Values|Fields]: {pairs}[;|.|] [Write it as JSON|Output JSON|JSON|As JSON].",
    "~Put {pairs} [into|in] [JSON|a JSON object].",
    "json({pairs})",
    "~[Make|Create|Write] a [dictionary|dict|map|key-value object] in JSON: {pairs}",
    "~Store {pairs} [as|in] [JSON|a JSON object].",
    "[An|The] object has {pairs}. [Write|Show|Give me] [it as|its] JSON.",
    "[Key-value pairs|Keys and values|Properties]: {pairs} [-> JSON|(JSON)|to JSON]",
    "~Build [JSON|a JSON object] from [these|the] [pairs|values|fields]: {pairs}",
    "[JSON from|From] [key-value pairs|pairs|these pairs]: {pairs}",
)
LINES_TO_JSON = (
    "~[Convert|Turn|Transform|Change|Parse] [this|these lines|the following|the lines|this text] "
    "[to|into] JSON:\n{lines}",
    "{lines}\n[JSON|To JSON|As JSON|In JSON|-> JSON]",
    "{lines}\n[Make|Turn this into|Write this as|Convert to|Give me this as] JSON.",
    "[JSON|To JSON|As JSON|JSON object|Make JSON]:\n{lines}",
    "~[Write|Represent|Format|Show] [this|the following|these lines] as JSON:\n{lines}",
    "~Convert [this YAML|the YAML|YAML|this config|the form|these settings] to JSON:\n{lines}",
    "[YAML|Config|Settings] to JSON:\n{lines}",
    "[What is|How do I write] this in JSON?\n{lines}",
    "[Input|Data|Lines]:\n{lines}\n[JSON|Output JSON|As JSON]:",
    "[I have|Here are|These are] [these lines|some fields|the fields]:\n{lines}\n"
    "[Make JSON of them|Write them as JSON|JSON].",
    "~[Make|Create|Build] [JSON|a JSON object] [from|of|out of] [these lines|this]:\n{lines}",
    "~Put [this|these lines|it all] [into|in] [JSON|a JSON object]:\n{lines}",
)
TWO_LISTS_TO_JSON = (
    "~[Make|Write|Create|Build] [JSON|a JSON object] with [the keys|keys] {keys} and "
    "[the values|values] {values}.",
    "[Keys|Names|Fields]: {keys}. Values: {values}. [JSON|Make JSON|As JSON|Write the JSON].",
    "Keys: {keys}\nValues: {values}\n[JSON|Make JSON|To JSON|]",
    "[JSON|A JSON object|JSON object] with keys {keys} and values {values}",
    "The keys are {keys} and the values are {values}. [Write|Make|Give me] [the|] JSON.",
    "~[Zip|Combine|Join|Pair|Match] the keys {keys} with the values {values} [in|into|as] JSON.",
    "~Give the keys {keys} the values {values} in [JSON|a JSON object].",
    "[I need|I want|Give me] JSON where [the keys|the fields] {keys} [have|are] [the values|] "
    "{values}.",
    "values {values} for [the keys|keys] {keys} [as|in] JSON",
    "~Use {keys} as keys and {values} as values[ and write JSON| in a JSON object|: JSON].",
    "JSON, keys {keys}, values {values}",
    "~[Make|Write|Give me] [JSON|a JSON object] with {keys} set to {values}.",
    "[With|Given] [the keys|keys] {keys} and [the values|values] {values}, [make|write] JSON.",
)
NESTED_TO_JSON = (
    "~[Make|Write|Create|Build|Generate|Give me|Return] [nested JSON|JSON|a JSON object] with "
    "[a key|the key|an object] {key} that [has|contains|holds] {pairs}.",
    "[Nested JSON|JSON|A JSON object]: {key} [with|has|contains] {pairs}",
    "{key} [with|has|contains] {pairs} [as nested JSON|nested in JSON|-> nested JSON]",
    "~[Nest|Put] {pairs} [under|inside|in] {key} [in|as] JSON.",
    "~[Write|Represent] [an object|a nested object] {key} with {pairs} [as|in] [nested |]JSON.",
    "JSON where {key} is an object with {pairs}",
    "[I need|I want|gimme] JSON [with|where] {key} [containing|holding|that contains] {pairs}.",
    "[The object|Object|Key] {key}: {pairs}. [Nested JSON|Write nested JSON|As nested JSON].",
    "~Make [JSON|an object] whose key {key} holds [an object with|] {pairs}.",
    "[Inside|Under|Within] {key}, [put|store|write] {pairs}. [JSON|Return JSON|Answer in JSON].",
    "[Show me|What is] the [nested |]JSON for [an object|a key] {key} with {pairs}?",
    "~Wrap {pairs} in [an object|a key] [called|named] {key} [in|as] JSON.",
)
ITEMS_TO_ARRAY = (
    "~[Make|Write|Create|Give me|Build|Return|Output] a JSON [array|list] "
    "[of|from|with|out of] [the words |the items |the values ||]{items}",
    "[JSON array|JSON list|A JSON array|json array|As a JSON array|To a JSON array|array in JSON]"
    "[:| of| with] {items}",
    "~[Convert|Turn|Transform|Change] [this|this list|these|the list|the following] [to|into] "
    "[a JSON array|a JSON list]: {items}",
    "~[Convert|Turn|Put] {items} [to|into] a JSON [array|list].",
    "{items} [as|in|to|->] [a JSON array|a JSON list|JSON array]",
    "{items}. [Make|Write|Give me] [this|these|it] as a JSON [array|list].",
    "~[Write|Represent|Format|Show|Encode] [this list|these|the following][| items| values] as "
    "[a JSON array|a JSON list]: {items}",
    "[How do I write|What is] {items} as a JSON [array|list]?",
    "[I need|I want|gimme] a JSON [array|list] of {items}[.|]",
    "[List|Items|Values|Input]: {items}\n[JSON array|As a JSON array]:",
    "~Put [these|the following|the words] [in|into] a JSON [array|list]: {items}",
    "[I have|Here is|This is] [a list|my list]: {items}. [Make it a JSON array|JSON array].",
    "json_array({items})",
    "~[Return|Answer with|Reply with] a JSON [array|list] [containing|of|that holds] {items}",
    "[An|The] array [with|of] {items} in JSON",
)
LIST_UNDER_KEY = (
    "~[Make|Write|Create|Build|Give me|Return] [JSON|a JSON object] with [the key|key|a key] {key} "
    "[and the list|holding the list|and the array|set to the list of] {items}",
    "[JSON|A JSON object|JSON object][:|] with {key} [as the list|being an array of] {items}",
    "~[Put|Store|Save] {items} [in|into|as] a JSON [list|array] under [the key |]{key}.",
    "{key}: {items} [as JSON with a list|-> JSON with an array|to JSON with a list]",
    "The {key} are {items}. [Write|Make|Return|Give me] JSON[ with a list|].",
    "JSON where {key} is a list of {items}",
    "~Make a JSON object whose {key} [are|is an array of|is a list of] {items}",
    "~[Convert|Turn] this into JSON with a list. {key}: {items}",
    "[My|Our|All] {key}: {items}. [As JSON with a list|Use a JSON array|JSON with an array]",
    "[I need|I want|gimme] JSON with a list {key} of {items}",
    "Key: {key}. [List|Array|Items]: {items}. [JSON|Make JSON|As JSON object].",
    "an object in JSON with {key} and its [list|array] {items}",
)
RANGES_TO_ARRAY = (
    "[JSON array|JSON list|A JSON array|Array in JSON][:| of| with] [the |]numbers [from |]{first} "
    "[to|through] {last}",
    "~[Make|Write|Create|Give me|Return|Generate] a JSON [array|list] [of|with] [the |]"
    "[numbers|integers] [from |]{first} [to|through|up to] {last}.",
    "[The |][numbers|integers] [from |]{first} [to|through] {last} [as|in] a JSON [array|list]",
    "~Count from {first} to {last} [in|as] a JSON [array|list].",
    "~Put the [numbers|integers] {first} to {last} [in|into] a JSON [array|list].",
    "[I need|I want|gimme] a JSON [array|list] that goes from {first} to {last}.",
    "json [array|list] {first}-{last}",
    "[What is|Show me] the JSON array of [the |]numbers between {first} and {last} [inclusive|"
    "with both ends]?",
    "JSON array[,|:] {first}..{last}",
    "~Write {first} to {last} as a JSON [array|list].",
)
ROWS_TO_JSON = (
    "~[Convert|Turn|Transform|Change|Parse] [this|this CSV|the CSV|the table|this table|CSV] "
    "[to|into] JSON:\n{table}",
    "{table}\n[JSON|To JSON|As JSON|In JSON|-> JSON|CSV to JSON]",
    "{table}\n[Make|Turn this into|Write this as|Convert it to|Give me this as] JSON.",
    "[CSV to JSON|CSV -> JSON|Table to JSON|JSON from CSV|JSON from the table|To JSON]:\n{table}",
    "~[Write|Represent|Format|Show|Output] [this table|this CSV|the rows|the data] as "
    "[JSON|JSON objects]:\n{table}",
    "[What is|How do I write] this [CSV|table|data] [in|as] JSON?\n{table}",
    "[CSV|Table|Data|Input]:\n{table}\n[JSON|Output JSON|As JSON|JSON objects]:",
    "[I have|Here is|This is] [a table|some CSV|a CSV file]:\n{table}\n[Make|Give me] JSON.",
    "~[Make|Create|Build] JSON [from|of|out of] [this table|this CSV|the CSV]:\n{table}",
    "~Read [the CSV|this table|the table] and [return|write|output] JSON:\n{table}",
    "[The header is the first line|The first line has the keys]. [JSON|To JSON]:\n{table}",
    "~[Use|Take] the first line as keys and [make|write] JSON:\n{table}",
)
PEOPLE_TO_ARRAY = (
    "~[Extract|Make|Write|Create|Return|Give me] a JSON [array|list] [of people|of objects|] "
    "[from this|for|from]: {text}",
    "~[Turn|Convert|Put] this into a JSON [array|list][ of objects| of people|]: {text}",
    "{text} [Give me|Write|Make|Return] [that as |]a JSON [array|list][ of objects|].",
    "{text}\n[JSON array|JSON list|As a JSON array|A list of JSON objects]",
    "[JSON array|JSON list|A JSON array][ of people| of objects|]: {text}",
    "~[Represent|Show|Encode|Describe] the people as a JSON [array|list]: {text}",
    "[List the people|All people] as JSON objects[ in an array|]: {text}",
    "[What is|Show me] the JSON array for this? {text}",
    "[Text|Input]: {text}\n[JSON array|List of JSON objects|Array of objects]:",
    "~Extract [everyone|all people|all persons|each person] as [objects in a JSON array|a JSON "
    "list|a JSON array]: {text}",
    "[I need|I want] a JSON [list|array] with one object [a person|per person|for each]: {text}",
    "~[Make|Write] one JSON object [per person|for each person], all in an array. {text}",
)
PEOPLE_TO_MAP = (
    "~[Make|Write|Create|Give me|Return] a JSON [object|map|dictionary] "
    "[from|of|mapping|that maps] [names|the names|each name] to {what}: {text}",
    "~Map [names|each name|the people] to {what} in JSON: {text}",
    "{text} [Give me|Write|Make] JSON [with the names as keys|that maps names to {what}].",
    "JSON with [names|the names|each name] as [keys|key] and {what} as values: {text}",
    "[JSON map|JSON object|JSON], name to {what}: {text}",
    "~Use the names as keys and {what} as values [in JSON|in a JSON object]: {text}",
    "{text}\nJSON [map|object] from name to {what}",
    "[What are|List] the {what} by name in JSON? {text}",
    "~[Put|Store] {what} under [the names|each name] in [JSON|a JSON object]: {text}",
    "[I need|I want] [JSON|a JSON object] whose keys are the names, with {what}: {text}",
    "Keys: names. Values: {what}. [JSON|Make JSON] from: {text}",
    "name -> {what} as JSON: {text}",
)
OUTER_KEYS = (
    "user person address product order item profile settings config customer book data owner "
    "contact company location server account player pet car house meta author student result"
).split()
"""Keys that hold an object."""


def pair_list(draw: Draw, facts: Record) -> list[str]:
    """Pairs of keys and values in one of the ways that people write them."""
    simple = all(
        isinstance(value, int | float | bool) or str(value).isalpha() for value in facts.values()
    )
    forms = ["{}: {}", "{}: {}", "{}={}", "{} = {}", "{} -> {}", "{} is {}", "{}:{}"]
    form = draw.pick([*forms, "{} {}", "{} {}", "{} of {}"] if simple else forms)
    quoted = draw.chance(0.12)
    pairs = []
    for key, value in facts.items():
        shown = as_json(value) if quoted and isinstance(value, str) else plain(value)
        shown_key = f'"{key}"' if quoted and form[2] == ":" else key
        pairs.append(form.format(shown_key, shown))
    return pairs


def _pairs(draw: Draw) -> Problem:
    facts = record(draw, size(draw), flat=True)
    if draw.chance(0.35):
        person: Record = {
            "name": full_name(draw),
            "age": whole_value(draw, "age"),
            "city": draw.slot(CITIES),
        }
        keys = draw.pick([("name", "age"), ("name", "city"), ("name", "age", "city")])
        facts = {key: person[key] for key in keys}
    pairs = pair_list(draw, facts)
    if draw.chance(0.12) and all(" " not in pair for pair in pairs):
        return to_json(draw.say(PAIRS_TO_JSON, pairs=" ".join(pairs)), facts)
    return to_json(draw.say(PAIRS_TO_JSON, pairs=enumerated(draw, pairs)), facts)


def _lines(draw: Draw) -> Problem:
    facts = record(draw, max(2, size(draw)), flat=True)
    form = draw.pick(["{}: {}", "{}: {}", "{}: {}", "{}={}", "{} = {}", "- {}: {}"])
    lines = "\n".join(form.format(key, plain(value)) for key, value in facts.items())
    return to_json(draw.say(LINES_TO_JSON, lines=lines), facts)


def _two_lists(draw: Draw) -> Problem:
    facts = record(draw, max(2, size(draw, 4)), flat=True)
    values = [plain(value) for value in facts.values()]
    keys = draw.pick([", ".join, " and ".join])(facts)
    return to_json(draw.say(TWO_LISTS_TO_JSON, keys=keys, values=enumerated(draw, values)), facts)


def _nested(draw: Draw) -> Problem:
    outer = draw.slot(OUTER_KEYS)
    facts = record(draw, size(draw, 3), flat=True)
    if draw.chance(0.25):
        form = draw.pick(["{}.{}={}", "{}.{} = {}", "{}.{}: {}"])
        pairs = [form.format(outer, key, plain(value)) for key, value in facts.items()]
        joined = draw.pick([", ", "\n"]).join(pairs)
        if "\n" in joined:
            return to_json(draw.say(LINES_TO_JSON, lines=joined), {outer: facts})
        return to_json(draw.say(PAIRS_TO_JSON, pairs=joined), {outer: facts})
    if draw.chance(0.3):
        return _partly_nested(draw, outer, facts)
    pairs_text = enumerated(draw, pair_list(draw, facts))
    key = f'"{outer}"' if draw.chance(0.2) else outer
    return to_json(draw.say(NESTED_TO_JSON, key=key, pairs=pairs_text), {outer: facts})


def _partly_nested(draw: Draw, outer: str, inner: Record) -> Problem:
    first = record(draw, 1, flat=True)
    key, value = next(iter(first.items()))
    inner.pop(outer, None)
    first.pop(outer, None)
    if draw.chance(0.4):
        form = draw.pick(["{}: {}", "{}={}", "{}: {}"])
        pairs = ", ".join(form.format(name, plain(item)) for name, item in inner.items())
        group = draw.pick(["{{{}}}", "({})", "{{ {} }}"]).format(pairs)
        text = f"{form.format(key, plain(value))}, {form.format(outer, group)}"
    else:
        pairs = enumerated(draw, [f"{name} {plain(item)}" for name, item in inner.items()])
        joint = draw.pick([" and an object {} with {}", " and {} with {}", ", {} with {}"])
        text = f"{key} {plain(value)}{joint.format(outer, pairs)}"
    return to_json(draw.say(PAIRS_TO_JSON, pairs=text), {**first, outer: inner})


def _array(draw: Draw) -> Problem:
    if draw.chance(0.08):
        first = draw.pick([0, 1, 1, 1, draw.rng.randint(2, 60)])
        last = first + draw.rng.randint(2, 9)
        request = draw.say(RANGES_TO_ARRAY, first=first, last=last)
        return to_json(request, list(range(first, last + 1)))
    items: list[str] | list[int]
    items = listed_words(draw, length(draw, 2, 7))
    if draw.chance(0.3):
        items = [whole(draw) for _ in range(length(draw, 2, 7))]
    if draw.chance(0.3):
        key = draw.slot(LIST_KEYS)
        if draw.chance(0.6):
            items = list(dict.fromkeys(text_value(draw, key).split()[0] for _ in items))
        if len(items) > 1:
            request = say_list(draw, LIST_UNDER_KEY, [str(item) for item in items], key=key)
            return to_json(request, {key: items})
    return to_json(say_list(draw, ITEMS_TO_ARRAY, [str(item) for item in items]), items)


def _rows(draw: Draw) -> Problem:
    """A table with a header; one row is an object, several are an array."""
    width, height = draw.pick([2, 2, 2, 3, 3, 4]), draw.pick([1, 1, 2, 2, 3])
    pool = ("name", "age", "city", "job", "color", "fruit", "price", "id", "animal", "quantity")
    keys = draw.rng.sample(pool, width)
    if draw.chance(0.35):
        keys = ["name", "age", "city", "job"][:width]
    words = {"city": CITIES, "job": JOBS, "color": COLORS, "fruit": FRUITS, "animal": ANIMALS}
    rows: list[Record] = []
    for _ in range(height):
        row: dict[str, Value] = {}
        for key in keys:
            if key == "name":
                row[key] = draw.name()
            elif key in words:
                row[key] = draw.slot(words[key])
            else:
                row[key] = draw.rng.randint(1, draw.pick([9, 99]))
        rows.append(row)
    separator = draw.rng.choices([",", ", ", ";", " | ", "\t"], [6, 2, 1, 2, 1])[0]
    cells = [keys, *([str(value) for value in row.values()] for row in rows)]
    lines = [separator.join(line) for line in cells]
    if separator == " | " and draw.chance(0.6):
        lines = [f"| {line} |" for line in lines]
        lines.insert(1, "|" + "---|" * width)
    value: object = rows[0] if height == 1 else rows
    return to_json(draw.say(ROWS_TO_JSON, table="\n".join(lines)), value)


def _people(draw: Draw) -> Problem:
    people: dict[str, Value] = {}
    key, plural = draw.pick([("age", "ages"), ("age", "age"), ("city", "cities"), ("job", "jobs")])
    forms = {
        "age": ["{} is {}", "{} is {} years old", "{} ({})", "{}, {}", "{}: {}"],
        "city": ["{} lives in {}", "{} is from {}", "{} from {}", "{} ({})", "{}: {}"],
        "job": ["{} works as {}", "{}: {}", "{} ({})", "{} has the job {}"],
    }[key]
    while len(people) < draw.pick([2, 2, 3]):
        words = {"city": CITIES, "job": JOBS}
        value = draw.slot(words[key]) if key in words else draw.rng.randint(1, 90)
        people[draw.name()] = value
    form = draw.pick(forms)
    clauses = [form.format(name, value) for name, value in people.items()]
    separator = "; " if form == "{}, {}" else ", "
    text = separator.join(clauses)
    if separator == ", " and draw.chance(0.5):
        text = ", ".join(clauses[:-1]) + " and " + clauses[-1]
    text += "."
    if draw.chance(0.35):
        return to_json(draw.say(PEOPLE_TO_MAP, text=text, what=plural), people)
    rows = [{"name": name, key: value} for name, value in people.items()]
    return to_json(draw.say(PEOPLE_TO_ARRAY, text=text), rows)


KINDS: Kinds = (
    (_pairs, 7),
    (_lines, 2),
    (_two_lists, 1.5),
    (_nested, 2),
    (_array, 4),
    (_rows, 3),
    (_people, 1.5),
)


def data_to_json(draw: Draw) -> Problem:
    """Write pairs, lines, lists, tables or several people as JSON."""
    return one_kind(draw, KINDS)
