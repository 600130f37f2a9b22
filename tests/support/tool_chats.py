"""Chat templates that take tools, and functions to offer."""

from collections.abc import Mapping
from typing import Any

from tests.support.tiny import byte_tokenizer
from unmask.tokenizer import Tokenizer

ARGUMENTS = "{{ call.function.arguments | tojson }}"
CALL = f'{{"name": "{{{{ call.function.name }}}}", "arguments": {ARGUMENTS}{{{{ "}}" }}}}'
END = "{{ '\n' }}{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}"
HERMES_TEMPLATE = (
    "{% for tool in tools or [] %}{{ tool | tojson + '\n' }}{% endfor %}"
    "{% for m in messages %}{{ m.role }}: {{ m.content }}"
    "{% for call in m.tool_calls or [] %}{{ '\n' if m.content or not loop.first }}"
    f"<tool_call>\n{CALL}\n</tool_call>{{% endfor %}}" + END
)
NEMOTRON_TEMPLATE = (
    "{% for tool in tools or [] %}{{ tool | tojson + '\n' }}{% endfor %}"
    "{% for m in messages %}{{ m.role }}: {{ m.content }}"
    "{% for call in m.tool_calls or [] %}{{ '<TOOLCALL>[' if loop.first else ', ' }}"
    f"{CALL}{{{{ ']</TOOLCALL>' if loop.last }}}}{{% endfor %}}" + END
)
# As the published template writes calls, of text, numbers, lists and objects.
GEMMA_TEMPLATE = (
    '{% macro written(value) %}{% if value is string %}<|"|>{{ value }}<|"|>'
    "{% elif value is mapping %}{{ '{' }}{% for k, v in value | dictsort %}"
    "{{ k }}:{{ written(v) }}{{ ',' if not loop.last }}{% endfor %}{{ '}' }}"
    "{% elif value is boolean or value is number or value is none %}{{ value | tojson }}"
    "{% else %}[{% for v in value %}{{ written(v) }}{{ ',' if not loop.last }}{% endfor %}]"
    "{% endif %}{% endmacro %}"
    "{% for tool in tools or [] %}{{ tool | tojson + '\n' }}{% endfor %}"
    "{% for m in messages %}{{ m.role }}: {{ m.content }}{% for call in m.tool_calls or [] %}"
    "<|tool_call>call:{{ call.function.name }}{{ written(call.function.arguments) }}<tool_call|>"
    "{% endfor %}" + END
)
# As the published template writes calls: text in quotes, objects as JSON, all else as in Python.
LFM2_TEMPLATE = (
    "{% for tool in tools or [] %}{{ tool | tojson + '\n' }}{% endfor %}"
    "{% for m in messages %}{{ m.role }}: {% if m.tool_calls %}<|tool_call_start|>["
    "{% for call in m.tool_calls %}{{ call.function.name }}("
    "{% for k, v in call.function.arguments.items() %}{{ k }}="
    '{% if v is string %}"{{ v }}"{% elif v is mapping %}{{ v | tojson }}'
    "{% else %}{{ v }}{% endif %}"
    "{{ ', ' if not loop.last }}{% endfor %}){{ ', ' if not loop.last }}{% endfor %}"
    "]<|tool_call_end|>{% endif %}{{ m.content }}" + END
)
LFM2_TAGS = ("<|tool_call_start|>", "<|tool_call_end|>", "<think>", "</think>")
GEMMA_TAGS = ("<|tool_call>", "<tool_call|>", '<|"|>', "<think>", "</think>")
TAGS = ("<tool_call>", "</tool_call>", "<TOOLCALL>", "</TOOLCALL>", "<think>", "</think>")
WEATHER: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "maxLength": 12},
        "days": {"type": "integer", "minimum": 1, "maximum": 9},
    },
    "required": ["city"],
}
MOVE: Mapping[str, Any] = {
    "$defs": {"point": {"type": "array", "items": {"type": "integer"}, "maxItems": 2}},
    "type": "object",
    "properties": {"to": {"$ref": "#/$defs/point"}, "how": {"enum": ["</tool_call>", 'a "b" \\']}},
    "required": ["to", "how"],
}
SCHEMAS: Mapping[str, Any] = {"weather": WEATHER, "move": MOVE, "now": {"maxProperties": 0}}


def tool_of(name: str, **fields: Any) -> dict[str, Any]:
    """A function as a client offers it."""
    return {"type": "function", "function": {"name": name, **fields}}


TOOLS = [
    tool_of("weather", description="Tell the weather.", parameters=WEATHER),
    tool_of("move", parameters=MOVE, strict=True),
    tool_of("now"),
]


def tool_tokenizer(template: str = HERMES_TEMPLATE, tags: tuple[str, ...] = TAGS) -> Tokenizer:
    """Tokenizer of bytes and tags, which may be none: then text spells them."""
    inner = byte_tokenizer(tags=tags)
    inner.chat_template = template
    return Tokenizer(inner)
