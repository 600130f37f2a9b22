"""Results of tools, as JSON or as text, and the sentences that tell of them."""

import json
from dataclasses import dataclass

from training.tasks.tools import kinds as t
from training.tasks.tools.kinds import Value
from training.tasks.tools.offers import Call
from training.wordings import Draw

ERRORS = (
    "not found|timeout|no connection|access denied|invalid input|service unavailable|unknown "
    "name|permission denied|too many requests|no results|internal error|not allowed|server is "
    "down|missing key|bad request|rate limit reached|try again later|out of range|disk is "
    "full|offline"
).split("|")
FINISHED = (
    *('{"status": "ok"}', '{"status": "ok"}', '{"success": true}', '{"success": true}'),
    *('{"ok": true}', '{"result": "done"}', '{"status": "done"}', '{"status": "success"}'),
    *("OK", "ok", "Done", "done", "Done.", "success", "true", '{"done": true}', '{"error": null}'),
)
FIELDS = (
    "count total price size weight value score result length number level code amount owner "
    "status name place color cost time speed age label rank answer position distance temperature"
).split()
NUMBER_FIELDS = frozenset(FIELDS) - set("owner status name place color label answer".split())
EXTRA = "id request_id source version took_ms cached".split()


@dataclass(frozen=True, slots=True)
class Told:
    """The result of a call, and the answer that it leads to."""

    content: str
    answer: str


def draw_result(draw: Draw, call: Call) -> Told:
    """Result of a tool: data, that it is done, or an error."""
    if draw.chance(0.1):
        return _error(draw)
    result = draw.pick(call.offer.kind.results)
    values: dict[str, Value] = {key: fill(draw, call.given) for key, fill in result.fields.items()}
    words = call.offer.kind.words
    is_lookup = "noun" in words and "verb" not in words
    if is_lookup or (words and draw.chance(0.7)):
        name = words["noun"] if is_lookup and draw.chance(0.7) else draw.slot(FIELDS)
        is_number = name in NUMBER_FIELDS or draw.chance(0.2)
        value: Value = draw.rng.randint(0, draw.pick((9, 99, 999))) if is_number else draw.word()
        content = _written(draw, {name: value}, call, may_rename=False)
        return Told(content, f"The {name} is {value}.")
    if not values:
        return Told(_finished(draw), result.sentence.format_map(_spoken(call)))
    unit = call.given.get("unit")
    if "unit" in values and unit in ("celsius", "fahrenheit"):
        values["unit"] = unit
    answer = result.sentence.format_map(_spoken(call) | values)
    may_rename = len(call.offer.kind.results) == 1 and len(values) == 1
    return Told(_written(draw, values, call, may_rename=may_rename), answer)


def _spoken(call: Call) -> dict[str, Value]:
    return {
        key: t.listed(value) if isinstance(value, list) else value
        for key, value in call.given.items()
    }


def _error(draw: Draw) -> Told:
    message = draw.slot(ERRORS)
    if draw.chance(0.25):
        message = f"{draw.word()} {message}"
    form = draw.pick(
        (
            *('{{"error": "{}"}}', '{{"error": "{}"}}', '{{"error": "{}"}}', "Error: {}"),
            *('{{"status": "error", "message": "{}"}}', '{{"ok": false, "error": "{}"}}'),
            *("error: {}", '{{"success": false, "error": "{}"}}'),
        )
    )
    return Told(form.format(message), f"That did not work: {message}.")


def _finished(draw: Draw) -> str:
    text = draw.pick(FINISHED)
    if text.startswith("{") and draw.chance(0.25):
        return f'{text[:-1]}, "{draw.pick(EXTRA)}": {draw.rng.randint(1, 999)}}}'
    return text


def _written(draw: Draw, values: dict[str, Value], call: Call, *, may_rename: bool) -> str:
    """The values as JSON with or without other fields, or as text."""
    if draw.chance(0.25):
        if len(values) == 1 and not call.offer.kind.words:
            return str(*values.values())
        return draw.pick((", ", "\n")).join(f"{key}: {value}" for key, value in values.items())
    shown = dict(values)
    if may_rename and not call.offer.kind.words and draw.chance(0.3):
        shown = {draw.pick(("result", "value", "output")): one for one in shown.values()}
    if draw.chance(0.25) and call.given:
        key = draw.pick(list(call.given))
        if call.offer.names[key] not in shown:
            shown = {call.offer.names[key]: call.given[key]} | shown
    if draw.chance(0.15):
        extra = draw.pick(EXTRA)
        if extra not in shown:
            shown[extra] = draw.rng.randint(1, 999)
    if draw.chance(0.08):
        return json.dumps({"result": shown}, ensure_ascii=False)
    if draw.chance(0.08):
        return json.dumps({"status": "ok"} | shown, ensure_ascii=False)
    return json.dumps(shown, ensure_ascii=False)
