"""JSON written another way: as lines, CSV, a sentence, in one line or over several."""

import json
from collections.abc import Mapping

from training.tasks.json.scenes import VALUES
from training.tasks.json.values import (
    Record,
    full_name,
    plain,
    record,
    shown,
    subject,
)
from training.tasks.phrases import filled
from training.tasks.problem import Problem, as_json, ask
from training.tasks.text.layouts import Kinds, one_kind
from training.tasks.words import CITIES, COLORS, FRUITS, JOBS
from training.wordings import Draw

TO_LINES = (
    "~[Write|Show|Print|Give me|List] {json} as [lines of key: value|key: value lines|lines "
    "'key: value'|key: value pairs, one a line].",
    "~[Convert|Turn|Transform] [this JSON|the JSON|JSON|this] [to|into] [key: value lines|lines|"
    "YAML|yaml]: {json}",
    "~[Convert|Turn] {json} [to|into] YAML.",
    "{json} [as|to|in] [YAML|yaml|lines|key: value lines]",
    "[JSON to YAML|YAML|To YAML|As YAML|json to yaml]: {json}",
    "{json}\n[YAML|To YAML|One line for each key|Key: value|As lines]",
    "~[List|Print|Show] each key [and|with] its value [on its own line|on a line|, one per line]: "
    "{json}",
    "~Write one line for [each|every] key[, key: value|]: {json}",
    "{json} [Write|Show|Print] [this|it] as YAML.",
    "[What is|How do I write] {json} in YAML?",
    "[I need|I want] {json} [as YAML|as key: value lines|line by line]",
    "~Unpack {json} into [key: value lines|lines].",
    "~[Print|Show] the [keys and values|pairs] [of|in] {json} line by line.",
    "[JSON|Object|Input]: {json}\nYAML:",
    "Given {json}, write each pair on a line as key: value.",
)
TO_CSV = (
    "~[Convert|Turn|Transform|Change] [this JSON|the JSON|JSON|this] [to|into] CSV: {json}",
    "~[Convert|Turn|Transform] {json} [to|into] [CSV|a CSV|comma-separated values].",
    "{json} [as|to|in|->] [CSV|csv]",
    "[JSON to CSV|CSV|To CSV|As CSV|json to csv|JSON -> CSV][:| from] {json}",
    "{json}\n[CSV|To CSV|As CSV|csv please]",
    "~[Write|Show|Give me|Print|Export|Return] {json} [as|in] CSV.",
    "~[Write|Show|Export|Save] [this JSON|this|the JSON] as CSV[ with a header|]: {json}",
    "{json} [Write|Export|Make|Turn] [this|it] [into|as] CSV.",
    "[What is|How do I write] {json} as CSV?",
    "[I need|I want|gimme] CSV [from|for|of] {json}",
    "[JSON|Object|Input]: {json}\nCSV:",
    "Given {json}, write [a|the] CSV[ with a header line|].",
    "~Make a CSV table [from|of|out of] {json}",
    "to_csv({json})",
)
TO_SENTENCE = (
    "~[Turn|Convert|Transform|Change] [this JSON|the JSON|this] [to|into] [a sentence|text|plain "
    "English|English|plain text|words]: {json}",
    "~[Turn|Convert] {json} [to|into] [a sentence|text|English].",
    "~[Write|Make|Form|Create|Give me] a sentence [from|about|for|out of|with] {json}",
    "~[Describe|Say|Put] [this JSON|this object|this] in [words|a sentence|English]: {json}",
    "~Describe {json} in [a sentence|words|English].",
    "{json} [Write|Say|Put] [this|it|that] [as|in] a sentence.",
    "{json}\n[Sentence|As a sentence|In words|In English|To text]",
    "[Sentence|JSON to text|JSON to sentence|In words|A sentence for][:| -] {json}",
    "[What does|What would] {json} [say|mean|be] in [a sentence|words|plain English]?",
    "{json} [as a sentence|in words|to text|as text|in plain English]",
    "~[Read|Express|Tell me] {json} [as|in] [a sentence|words].",
    "[JSON|Object|Input]: {json}\n[Sentence|Text]:",
    "[I need|I want] a sentence [from|for] {json}",
    "Given {json}, write a sentence.",
    "~Summarize {json} in [a|one] sentence.",
    "How [would|do] you say {json} in [words|a sentence]?",
)
PRETTY = (
    "~[Pretty-print|Pretty print|Prettify|Beautify|Indent] {json}",
    "~[Pretty-print|Pretty print|Prettify|Beautify|Indent|Format] [this JSON|the JSON|this|JSON]: "
    "{json}",
    "~[Format|Indent|Write|Show|Print] [this JSON|the JSON|this] [nicely|prettily|over several "
    "lines|with line breaks|with indentation]: {json}",
    "{json} [Pretty-print|Prettify|Indent|Format] [this|it|this JSON].",
    "{json}\n[Pretty|Formatted|Indented|Pretty-print|Format]",
    "[Pretty JSON|Formatted JSON|Indented JSON|JSON formatter|Pretty]: {json}",
    "~Make [this JSON|the JSON|this] [readable|pretty|easy to read]: {json}",
    "~Write {json} with [one key a line|each key on its own line|a line for each key].",
    "{json} [with indentation|indented|formatted|pretty printed]",
    "[I need|I want] {json} [formatted|indented|pretty-printed].",
    "json.dumps({json}, indent=2)",
    "~[Split|Spread|Break] {json} over several lines.",
    "~Put [each|every] key of {json} on its own line[, still as JSON| as JSON].",
)
MINIFY = (
    "~[Minify|Compress|Compact] {json}",
    "~[Minify|Compress|Compact] [this JSON|the JSON|this|JSON]: {json}",
    "~Remove [all|the|unneeded|extra] [spaces|whitespace|white space] from [this JSON|the JSON|"
    "this]: {json}",
    "~Remove [all|the|extra] [whitespace|spaces] [from|in] {json}",
    "{json} [Minify|Compress|Compact] [this|it|this JSON].",
    "{json}\n[Minified|Minify|Compact|Without spaces]",
    "[Minified JSON|Compact JSON|JSON minifier|Minified]: {json}",
    "~Make [this JSON|the JSON|this] [compact|as short as possible|minimal]: {json}",
    "~Write {json} without [spaces|whitespace].",
    "{json} [without whitespace|without spaces|minified|compact]",
    "[I need|I want] {json} [minified|without spaces].",
    "minify({json})",
)
ONE_LINE = (
    "~[Write|Put|Format|Show|Print] [this JSON|this|the JSON] [on|in] [one line|a single line]: "
    "{json}",
    "~[Write|Put|Print] {json} [on|in] [one line|a single line].",
    "{json}\n[On one line|One line|In a single line]",
    "{json} [Put|Write] [this|it] on one line.",
    "~Join the lines of this JSON[ into one|]: {json}",
    "~Make [this|this JSON] a single line: {json}",
    "[One-line JSON|JSON on one line|Single line]: {json}",
    "~Collapse [this JSON|this|the JSON] to one line: {json}",
    "[I need|I want] this [on|in] one line: {json}",
    "~Flatten the line breaks in {json}",
)
PERSON_PARTS: Mapping[str, str] = {
    "age": "is {age} years old",
    "city": "lives in {city}",
    "job": "works as a {job}",
    "hobby": "likes {hobby}",
    "color": "likes the color {color}",
    "pet": "has a {pet}",
    "language": "speaks {language}",
    "country": "comes from {country}",
}


def joined(parts: list[str]) -> str:
    """Parts with commas, and "and" before the last."""
    return parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]


def _problem(
    draw: Draw, templates: tuple[str, ...], text: str, data: object, answer: str
) -> Problem:
    request = draw.say(templates, json=text)
    return Problem("json_text", (f"json:{as_json(data)}",), ask(request), answer)


def _lines(draw: Draw) -> Problem:
    facts = subject(draw)
    answer = "\n".join(
        f"{key}: {as_json(value) if isinstance(value, list) else plain(value)}"
        for key, value in facts.items()
    )
    return _problem(draw, TO_LINES, shown(draw, facts), facts, answer)


def _csv(draw: Draw) -> Problem:
    """A header and one line for each object."""
    keys = draw.pick(["name age", "name age city", "name city", "id name", "fruit price", "a b"])
    words = {"city": CITIES, "job": JOBS, "color": COLORS, "fruit": FRUITS}
    rows: list[Record] = []
    for _ in range(draw.pick([1, 1, 2, 2, 3])):
        row: Record = {}
        for key in keys.split():
            if key == "name":
                row[key] = draw.name()
            else:
                row[key] = draw.slot(words[key]) if key in words else draw.rng.randint(1, 90)
        rows.append(row)
    if len(rows) == 1 and draw.chance(0.6):
        rows = [record(draw, draw.pick([2, 2, 3, 4]), flat=True)]
    lines = [",".join(rows[0]), *(",".join(map(plain, row.values())) for row in rows)]
    data: object = rows[0] if len(rows) == 1 else rows
    return _problem(draw, TO_CSV, shown(draw, data), data, "\n".join(lines))


def _sentence(draw: Draw) -> Problem:
    """Facts on a person in common words, others as "The color is red."."""
    if draw.chance(0.55):
        keys = draw.rng.sample(list(PERSON_PARTS), draw.pick([1, 1, 2, 2, 3]))
        if draw.chance(0.4):
            keys = draw.pick([["age"], ["age", "city"], ["city"], ["age", "job"]])
        facts: Record = {"name": full_name(draw), **{key: VALUES[key](draw) for key in keys}}
        parts = [filled(PERSON_PARTS[key], facts) for key in keys]
        answer = f"{facts['name']} {joined(parts)}."
    else:
        facts = record(draw, draw.pick([1, 2, 2, 3]), flat=True)
        facts.pop("name", None)
        facts = facts or {"color": draw.slot(COLORS)}
        clauses = [f"the {key} is {plain(value)}" for key, value in facts.items()]
        answer = f"T{joined(clauses)[1:]}."
    return _problem(draw, TO_SENTENCE, shown(draw, facts), facts, answer)


def _layout(draw: Draw) -> Problem:
    """The same JSON indented, without spaces or on one line, as it is asked for."""
    facts = subject(draw)
    lines = json.dumps(facts, ensure_ascii=False, indent=2)
    match draw.rng.choices(("pretty", "minify", "line"), (4, 4, 2))[0]:
        case "pretty":
            packed = json.dumps(facts, ensure_ascii=False, separators=(",", ":"))
            text = draw.pick([packed, as_json(facts), as_json(facts)])
            return _problem(draw, PRETTY, text, facts, lines)
        case "minify":
            packed = json.dumps(facts, ensure_ascii=False, separators=(",", ":"))
            text = draw.pick([lines, as_json(facts), as_json(facts)])
            return _problem(draw, MINIFY, text, facts, packed)
    return _problem(draw, ONE_LINE, lines, facts, as_json(facts))


KINDS: Kinds = ((_lines, 2), (_csv, 2), (_sentence, 3), (_layout, 2))


def json_to_text(draw: Draw) -> Problem:
    """Write JSON as lines, CSV or a sentence, or lay it out anew."""
    return one_kind(draw, KINDS)
