"""Fields that an answer in JSON must have, and ways in which requests write them down."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from training.tasks.json.values import named_keys
from training.wordings import Draw

Answer = str | int | float | bool | None | list[str] | list[int]


@dataclass(frozen=True, slots=True)
class Field:
    """A key of the answer, its value, and the words that the value is one of."""

    name: str
    value: Answer
    options: tuple[str, ...] = ()
    nullable: bool = False

    @property
    def kind(self) -> str:
        """The type in JSON Schema."""
        match self.value:
            case bool():
                return "boolean"
            case int():
                return "integer"
            case float():
                return "number"
            case list():
                return "array"
        return "string"


Fields = Sequence[Field]
PYTHON_TYPES = {"integer": "int", "number": "float", "boolean": "bool", "string": "str"}
SHORT_TYPES = {"integer": "int", "boolean": "bool"}
TYPESCRIPT_TYPES = {"integer": "number"}
FULL_TYPES = {"string": "text", "integer": "whole number", "boolean": "true or false"}
TITLES = "person result answer item record output response data info user".split()


def answer_of(fields: Fields) -> dict[str, Answer]:
    return {field.name: field.value for field in fields}


def _item_kind(field: Field) -> str:
    is_number = isinstance(field.value, list) and field.value and isinstance(field.value[0], int)
    return "integer" if is_number else "string"


def _property(draw: Draw, field: Field, *, loose: bool) -> dict[str, object]:
    if field.options:
        return {"type": "string", "enum": list(field.options)}
    if field.kind == "array":
        return {"type": "array", "items": {"type": _item_kind(field)}}
    kind = "number" if loose and field.kind == "integer" else field.kind
    if field.nullable:
        return {"type": [kind, "null"]}
    if draw.chance(0.04):
        return {"type": kind, "description": f"the {field.name}"}
    return {"type": kind}


def object_schema(draw: Draw, fields: Fields) -> dict[str, object]:
    """A JSON Schema with a property for each field, in their order."""
    loose = draw.chance(0.15)
    properties = {field.name: _property(draw, field, loose=loose) for field in fields}
    schema: dict[str, object] = {"type": "object", "properties": properties}
    if draw.chance(0.75):
        schema["required"] = [field.name for field in fields]
    if draw.chance(0.35):
        schema["additionalProperties"] = False
    if draw.chance(0.08):
        schema = {"title": draw.slot(TITLES).capitalize(), **schema}
    return schema


def schema_text(draw: Draw, schema: dict[str, object]) -> str:
    """A JSON Schema as a request or a `response_format` writes it."""
    form = draw.rng.random()
    if form < 0.1:
        schema = {"name": draw.slot(TITLES), "schema": schema}
    elif form < 0.16:
        schema = {"name": draw.slot(TITLES), "strict": True, "schema": schema}
    elif form < 0.2:
        wrapped = {"name": draw.slot(TITLES), "schema": schema}
        schema = {"type": "json_schema", "json_schema": wrapped}
    elif form < 0.25:
        return json.dumps(schema["properties"])
    if draw.chance(0.25):
        return json.dumps(schema, separators=(",", ":"))
    return json.dumps(schema)


def _options(field: Field, separator: str, quote: str = '"') -> str:
    return separator.join(f"{quote}{option}{quote}" for option in field.options)


def _named_type(field: Field, names: dict[str, str]) -> str:
    if field.kind == "array":
        return f"{names.get(_item_kind(field), _item_kind(field))}[]"
    return names.get(field.kind, field.kind) + (" | null" if field.nullable else "")


def shape_text(draw: Draw, fields: Fields) -> str:
    """The answer with types or blanks in place of values, or an interface in a language."""
    form = draw.rng.random()
    names = draw.pick([{}, SHORT_TYPES, TYPESCRIPT_TYPES])
    if form < 0.3:
        types = {
            field.name: draw.pick(["|", " | ", " or "]).join(field.options)
            or _named_type(field, names)
            for field in fields
        }
        return json.dumps(types)
    if form < 0.55:
        parts = [
            f'"{field.name}": {_options(field, " | ") or _named_type(field, names)}'
            for field in fields
        ]
        return "{" + ", ".join(parts) + "}"
    if form < 0.7:
        parts = [
            f"{field.name}: {_options(field, ' | ') or _named_type(field, names)}"
            for field in fields
        ]
        return draw.pick(["{{ {} }}", "{{{}}}"]).format(draw.pick([", ", "; "]).join(parts))
    if form < 0.85 or any(field.options for field in fields):
        blank = draw.pick(["...", "", "?", "<{}>"])
        if any(field.options for field in fields):
            return json.dumps(
                {f.name: "|".join(f.options) or _named_type(f, names) for f in fields}
            )
        return json.dumps({field.name: blank.format(field.name) for field in fields})
    blanks = {"string": '"..."', "integer": "0", "number": "0.0", "boolean": "true"}
    parts = [f'"{field.name}": {blanks.get(field.kind, "[]")}' for field in fields]
    return "{" + ", ".join(parts) + "}"


def class_text(draw: Draw, fields: Fields) -> str:
    """A class or an interface whose attributes are the fields."""
    title = draw.slot(TITLES).capitalize()
    if draw.chance(0.3):
        body = [
            f"  {field.name}: {_options(field, ' | ') or _named_type(field, TYPESCRIPT_TYPES)};"
            for field in fields
        ]
        return f"interface {title} {{\n" + "\n".join(body) + "\n}"
    body = []
    for field in fields:
        kind = PYTHON_TYPES.get(field.kind, "")
        if field.options:
            kind = f"Literal[{_options(field, ', ')}]"
        elif field.kind == "array":
            kind = f"list[{PYTHON_TYPES[_item_kind(field)]}]"
        body.append(f"    {field.name}: {kind}" + (" | None" if field.nullable else ""))
    base = draw.pick(["(BaseModel)", "(BaseModel)", "(TypedDict)", ""])
    return f"class {title}{base}:\n" + "\n".join(body)


def typed_keys(draw: Draw, fields: Fields) -> str:
    """The keys with their types, in a line or one a line."""
    names = draw.pick([{}, {}, SHORT_TYPES, TYPESCRIPT_TYPES, FULL_TYPES])
    form = draw.pick(["{} ({})", "{} ({})", "{}: {}", '"{}" ({})', "{} as {}"])
    parts = [
        form.format(
            field.name,
            draw.pick([" or ", "/", ", "][: 2 if form == "{}: {}" else 3]).join(field.options)
            or _named_type(field, names),
        )
        for field in fields
    ]
    if draw.chance(0.25) and form != "{} as {}":
        return "\n" + "\n".join(f"- {part}" for part in parts) + "\n"
    if len(parts) > 1 and draw.chance(0.3):
        return ", ".join(parts[:-1]) + " and " + parts[-1]
    return ", ".join(parts)


def plain_keys(draw: Draw, fields: Fields) -> str:
    return named_keys(draw, [field.name for field in fields])
