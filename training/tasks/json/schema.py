"""Answers in JSON of a given form: a JSON Schema, a list of keys, types or a class."""

from functools import partial

from training.tasks.json.fields import (
    Field,
    answer_of,
    class_text,
    object_schema,
    plain_keys,
    schema_text,
    shape_text,
    typed_keys,
)
from training.tasks.json.questions import (
    Question,
    Say,
    capital,
    counted_words,
    kind_of_word,
    ordered_words,
    scene,
    sentiment,
    small_sum,
    yes_or_no,
)
from training.tasks.phrases import phrase
from training.tasks.problem import Problem, Turn, as_json, ask
from training.wordings import Draw

SCHEMA_REQUESTS = (
    "{text} [Answer|Reply|Respond] [as|in|with] JSON that [follows|matches|fits] this schema: "
    "{schema}",
    "{text}\n[Schema|JSON schema|JSON Schema|Use this schema|Answer with this schema]: {schema}",
    "{text}\n[Answer|Reply|Respond] with JSON[,| for the] schema {schema}",
    "[Schema|JSON schema|JSON Schema|response_format]: {schema}\n{text}",
    "[Schema|JSON schema|JSON Schema]: {schema}\n[Text|Input|Question|Task]: {text}",
    "~[Answer|Reply|Respond] [as|in|with] JSON [following|matching|according to] the schema "
    "{schema}\n{text}",
    "~[Use|Follow] [this|the] [JSON |]schema {schema} [and answer|to answer]: {text}",
    "~[Extract|Write|Return|Give me] JSON [for this schema|that matches this schema|by this "
    "schema]: {schema}\n{text}",
    "[With|Given|For] the [JSON |]schema {schema}, [answer|fill in|write JSON for]: {text}",
    "[Input|Text]: {text}\n[Schema|Output schema|JSON schema]: {schema}\n[Output|JSON|Answer]:",
    "{schema}\n[Fill this schema|Answer in this schema|Follow the schema|Write JSON for this "
    "schema]: {text}",
    "[Your answer|The answer|The output] must [be JSON that matches|match|follow] {schema}. {text}",
    "{text} [Output|Return|Give me] [JSON|an object] [valid for|for|of] {schema}",
    "~[Fill|Complete] [this|the] [JSON |]schema [from|with] the text. {schema} Text: {text}",
    "~Parse this into the schema {schema}: {text}",
    "[I need|I want] the answer as JSON with schema {schema}: {text}",
)
BARE_REQUESTS = (
    "{text} [Answer|Reply|Respond] [as|in|with] JSON.",
    "{text} [As|In] JSON.",
    "{text}\n[JSON|As JSON|JSON answer|Answer in JSON]",
    "~[Answer|Reply|Respond] [as|in|with] JSON: {text}",
    "[JSON|In JSON|As JSON|JSON answer]: {text}",
    "~[Give|Return|Write] the answer [as|in] JSON[: |. ]{text}",
    "{text} [JSON only|Only JSON|JSON please].",
    "[I need|I want] the answer [as|in] JSON: {text}",
    "[Your answer|The answer|The output] [must be|should be|is] JSON. {text}",
    "{text} (answer in JSON)",
    "[Question|Input]: {text}\n[JSON answer|Answer as JSON|JSON]:",
    "~Use JSON for your answer. {text}",
)
SYSTEM_BARE = (
    "[Answer|Reply|Respond] [in|with] JSON.",
    "[Always answer|Always reply|Answer only|Reply only] [in|with] JSON.",
    "You [answer|reply|respond] in JSON.",
    "JSON only[.|]",
    "[Your answers|All answers|The output] [must be|are|should be] JSON.",
    "You are [a helpful assistant|an assistant] that [answers|replies] in JSON.",
    "Output [only |]JSON.",
    "[Use|Only use] JSON.",
    "[Return|Give] [a JSON object|JSON].",
    "response_format: json_object",
)
KEY_REQUESTS = (
    "{text} [Answer|Reply|Respond] [as|in|with] JSON with the [keys|fields] {keys}[ in this order|"
    " in that order|].",
    "{text} [Answer|Reply|Respond] [as|in|with] [a JSON object|JSON] with {keys}.",
    "{text}\n[Keys|JSON keys|Keys in this order|Fields|Answer as JSON with]: {keys}",
    "~[Answer|Reply|Respond] [as|in|with] JSON with the keys {keys}[ in this order|]: {text}",
    "~[Answer|Reply] with [a JSON object|JSON] [that has|having|of] the keys {keys}. {text}",
    "{text} [Return|Give me|Output|Write] JSON with the keys {keys}[ in this order|].",
    "[JSON keys|Keys|Use the keys]: {keys}. {text}",
    "~[Use|Take] the [keys|JSON keys] {keys}[ in this order|] [and answer|for your answer]: {text}",
    "[Your answer|The answer|The output] [must be|should be|is] JSON with the keys {keys}. {text}",
    "{text} [JSON only|Only JSON|As JSON], keys {keys}.",
    "[JSON|In JSON] ({keys}): {text}",
    "[First|The first] key [comes|stands] first: {keys}. [Answer in JSON|JSON]: {text}",
    "{text} (JSON with [keys |]{keys})",
    "[I need|I want] [the answer|it] as JSON with the keys {keys}: {text}",
    "~Put the answer in JSON under the [keys|key names] {keys}: {text}",
    "[Question|Text|Input]: {text}\n[Answer as|Output] JSON with keys {keys}:",
)
SHAPE_REQUESTS = (
    "{text} [Answer|Reply|Respond] [as|in] [the form|this form|the format|this format] {shape}",
    "{text}\n[Format|JSON format|Output format|Form|Answer format]: {shape}",
    "[Format|JSON format|Output format|Answer format]: {shape}\n{text}",
    "~[Answer|Reply|Respond] [like this|in this format|as]: {shape}\n{text}",
    "~[Use|Follow] [this|the] [JSON |]format {shape} [and answer|to answer]: {text}",
    "{text} [Return|Give me|Output|Write] [JSON like|JSON of the form|JSON in the format] {shape}",
    "~[Fill|Complete|Fill in] {shape}: {text}",
    "~[Fill|Complete] [this|the] [JSON |]template: {shape}\n{text}",
    "[Your answer|The answer|The output] [must|should] look like {shape}. {text}",
    "[Input|Text|Question]: {text}\n[Output|JSON|Answer] as {shape}:",
    "{shape}\n[Fill it in|Fill this|Complete this|Answer in this form]: {text}",
    "[With|In] the [form|format|structure] {shape}, [answer|write|fill in]: {text}",
    "[I need|I want] [the answer|it] as {shape}: {text}",
    "{text} -> {shape}",
    "~Write the answer in the [JSON |]structure {shape}: {text}",
)
TYPED_REQUESTS = (
    "{text} [Answer|Reply|Respond] [as|in|with] JSON with {fields}",
    "{text}\n[JSON fields|Fields|Keys and types|Keys]: {fields}",
    "[JSON with|JSON fields|Answer in JSON with|Fields|Keys and types]: {fields}\n{text}",
    "~[Answer|Reply|Respond] with [a JSON object|JSON] of the fields {fields} {text}",
    "~[Return|Give me|Write|Output] JSON with the [keys|fields] {fields} [for|from]: {text}",
    "[Your answer|The answer|The output] [is|must be] JSON with the fields {fields} {text}",
    "{text} [Return|Give me|Output] JSON, [keys and types|fields]: {fields}",
    "[Input|Text|Question]: {text}\n[Output|JSON] fields: {fields}",
    "~[Extract|Fill in] the [JSON |]fields {fields} [from|in]: {text}",
    "~Use the JSON keys {fields} [to answer|for]: {text}",
    "[Types|Keys with types]: {fields} [JSON answer to|Answer in JSON]: {text}",
    "[I need|I want] JSON with {fields} [for|from]: {text}",
)
CLASS_REQUESTS = (
    "{code}\n[Fill this|Answer as JSON|Write it as JSON|JSON for this class]: {text}",
    "{text}\n[Answer as JSON|Return JSON|JSON] for [this type|this class|the type]:\n{code}",
    "~[Answer|Reply|Respond] with JSON [for|of|that fits] this [type|class|model]:\n{code}\n{text}",
    "~[Parse|Read] this into [JSON for|] the [class|type|model]:\n{code}\n{text}",
    "[Type|Model|Class]:\n{code}\n[Text|Input]: {text}\n[JSON|Answer]:",
    "[Text|Input]: {text}\n[Type|Model|Class]:\n{code}\nJSON:",
    "Given\n{code}\n[answer|reply|write JSON]: {text}",
    "~Use the [type|class|model] below and [answer|reply] in JSON. {text}\n{code}",
    "[The output|Your answer] is JSON that fits\n{code}\n{text}",
    "~Fill the fields of this [type|class] as JSON:\n{code}\n{text}",
)
SYSTEM_SCHEMAS = (
    "[Answer|Reply|Respond] [as|in|with] JSON that [follows|matches] this schema: {schema}",
    "[JSON schema|Schema|Response format|response_format]: {schema}",
    "[Answer|Reply|Respond] only with JSON. [Schema|JSON schema]: {schema}",
    "[Your answers|Your answer|The output] must [follow|match] the JSON schema {schema}",
    "[Always answer|Always reply|Answer] in JSON [with|by|following] the schema {schema}",
    "You answer in JSON. [The schema is|Schema:] {schema}",
    "You are [a helpful assistant|an assistant]. [Answer|Respond] with JSON for {schema}",
    "Output [a JSON object|JSON] [that conforms to|conforming to|valid for] {schema}",
    "[You must respond|Respond] using this JSON schema: {schema}",
    "{schema}",
    "Here's the JSON schema [you must adhere to|of your answers]: {schema}",
    "[Extract|Fill] this schema from the user's text: {schema}",
)
SYSTEM_KEYS = (
    "[Answer|Reply|Respond] [as|in|with] JSON with the keys {keys}[ in this order|].",
    "[Always answer|Always reply|Answer] [in|with] JSON. [Keys|The keys]: {keys}.",
    "[Your answers|Your answer|The output] [must be|is|should be] JSON with the keys {keys}.",
    "You answer in JSON with the keys {keys}.",
    "You are [a helpful assistant|an assistant] that [answers|replies] in JSON with {keys}.",
    "JSON only. Keys: {keys}",
    "Output [a JSON object|JSON] with [the keys |]{keys}[ in this order|].",
    "Use the keys {keys} and answer in JSON.",
    "[Only JSON|JSON output]: {keys}",
    "[Extract|Return] {keys} as JSON.",
)
SYSTEM_SHAPES = (
    "[Answer|Reply|Respond] in the form {shape}",
    "[Format|JSON format|Output format|Answer format]: {shape}",
    "[Always answer|Always reply|Answer] like this: {shape}",
    "[Your answers|Your answer|The output] must look like {shape}",
    "You answer in JSON: {shape}",
    "You are [a helpful assistant|an assistant] that answers in the format {shape}",
    "JSON only, as {shape}",
    "Output [a JSON object|JSON] of the form {shape}",
    "Use the JSON format {shape}",
    "{shape}",
)
QUESTIONS = (
    (scene, 10),
    (capital, 2),
    (small_sum, 1.5),
    (ordered_words, 1),
    (counted_words, 1),
    (yes_or_no, 1.5),
    (kind_of_word, 2),
    (sentiment, 1.5),
)
OUTER = "user person result data item answer record entry".split()
GROUPS = "people users persons results items entries list".split()


def _problem(turns: tuple[Turn, ...], name: str, fields: list[Field], value: object) -> Problem:
    keys = f"json_schema:{name}:{','.join(field.name for field in fields)}"
    return Problem("json_schema", (keys,), turns, as_json(value), "json")


def _question(draw: Draw, say: Say) -> Question:
    makers = [maker for maker, _ in QUESTIONS]
    return draw.rng.choices(makers, [share for _, share in QUESTIONS])[0](draw, say)


def _nested(draw: Draw) -> Problem:
    """A schema with an object inside, or with a list of objects."""
    text, fields, name = scene(draw, draw.say)
    inner = object_schema(draw, fields)
    value: object = answer_of(fields)
    key = draw.slot(OUTER)
    if draw.chance(0.4):
        people = {draw.name(): draw.rng.randint(3, 90) for _ in range(2)}
        text = " and ".join(f"{person} is {age}" for person, age in people.items()) + "."
        rows = [[Field("name", person), Field("age", age)] for person, age in people.items()]
        fields = rows[0]
        inner = {"type": "array", "items": object_schema(draw, fields)}
        value, name = [answer_of(row) for row in rows], f"people:{text}"
        key = draw.slot(GROUPS)
    schema = {"type": "object", "properties": {key: inner}, "required": [key]}
    request = draw.say(SCHEMA_REQUESTS, text=text, schema=as_json(schema))
    return _problem(ask(request), f"{key}:{name}", fields, {key: value})


def _bare(draw: Draw) -> Problem:
    """A question to answer in JSON of no given form: it goes under the key "answer"."""
    makers = (capital, small_sum, ordered_words, counted_words, yes_or_no)
    in_system = draw.chance(0.3)
    say = draw.say if in_system else partial(draw.say, alone=True)
    text, fields, name = draw.rng.choices(makers, (3, 3, 1, 1, 2))[0](draw, say)
    others = {"country", "a", "b", "first", "last"}
    value = next(field.value for field in fields if field.name not in others)
    named = [Field("answer", value)]
    if in_system:
        turns = (Turn("system", phrase(draw, SYSTEM_BARE)), *ask(text))
        return _problem(turns, name, named, answer_of(named))
    return _problem(ask(draw.say(BARE_REQUESTS, text=text)), name, named, answer_of(named))


def answer_in_json(draw: Draw) -> Problem:
    """Answer a question, or extract facts, as JSON with the keys, order and types asked for."""
    if draw.chance(0.05):
        return _nested(draw)
    if draw.chance(0.07):
        return _bare(draw)
    in_system = draw.chance(0.25)
    text, fields, name = _question(draw, draw.say if in_system else partial(draw.say, alone=True))
    value = answer_of(fields)
    form = draw.rng.random()
    has_options = any(field.options or field.nullable for field in fields)
    if form < 0.42:
        schema = schema_text(draw, object_schema(draw, fields))
        if in_system:
            system = phrase(draw, SYSTEM_SCHEMAS, schema=schema)
            return _problem((Turn("system", system), *ask(text)), name, fields, value)
        request = draw.say(SCHEMA_REQUESTS, text=text, schema=schema)
    elif form < 0.67 and not has_options:
        keys = plain_keys(draw, fields)
        if in_system:
            system = phrase(draw, SYSTEM_KEYS, keys=keys)
            return _problem((Turn("system", system), *ask(text)), name, fields, value)
        request = draw.say(KEY_REQUESTS, text=text, keys=keys)
    elif form < 0.85:
        shape = shape_text(draw, fields)
        if in_system:
            system = phrase(draw, SYSTEM_SHAPES, shape=shape)
            return _problem((Turn("system", system), *ask(text)), name, fields, value)
        request = draw.say(SHAPE_REQUESTS, text=text, shape=shape)
    elif form < 0.94:
        request = draw.say(TYPED_REQUESTS, text=text, fields=typed_keys(draw, fields))
    else:
        request = draw.say(CLASS_REQUESTS, text=text, code=class_text(draw, fields))
    return _problem(ask(request), name, fields, value)
