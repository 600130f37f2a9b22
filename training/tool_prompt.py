"""Tools in the text of a conversation: the system message that lists them, and calls of them.

A tool is one short line, `{"name": "add", "parameters": {"a": "integer", "b?": "integer"}}`, with
`?` after optional parameters. That is the part of its JSON Schema that a small model can use.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from training.tasks.problem import Turn

HOW_TO_CALL = "To use a tool, write <tool_call> with its name and arguments as JSON. The tools are:"
CALL_START, CALL_END = "<tool_call>\n", "\n</tool_call>"

CHAT_TEMPLATE = (
    # Macros cost time, and are reference cycles: only chats with tools make them.
    "{%- if tools -%}"
    # The type of one parameter: an enum, a plain type, or else the whole schema.
    "{%- macro kind(schema) -%}"
    "{%- if schema is mapping and schema['enum'] is defined -%}{{- schema['enum'] | tojson -}}"
    "{%- elif schema is mapping and schema['type'] is defined"
    " and schema['properties'] is not defined -%}{{- schema['type'] | tojson -}}"
    "{%- else -%}{{- schema | tojson -}}{%- endif -%}"
    "{%- endmacro -%}"
    # The line of one tool.
    "{%- macro signature(function) -%}"
    "{%- set schema = function['parameters'] or {} -%}"
    "{{- '{\"name\": ' + function['name'] | tojson -}}"
    "{%- if function['description'] -%}"
    "{{- ', \"description\": ' + function['description'] | tojson -}}"
    "{%- endif -%}"
    "{{- ', \"parameters\": {' -}}"
    "{%- for name, part in (schema['properties'] or {}).items() -%}"
    "{{- '' if loop.first else ', ' -}}"
    "{%- set needed = schema['required'] -%}"
    "{%- set optional = needed is defined and needed is not none and name not in needed -%}"
    "{{- (name + ('?' if optional else '')) | tojson + ': ' + kind(part) -}}"
    "{%- endfor -%}"
    "{{- '}}' -}}"
    "{%- endmacro -%}"
    "{%- macro listing(tools) -%}"
    "{{- '" + HOW_TO_CALL + "' -}}"
    "{%- for tool in tools -%}"
    "{{- '\\n' + signature(tool['function'] if tool['function'] is defined else tool) -}}"
    "{%- endfor -%}"
    "{%- endmacro -%}"
    "{%- endif -%}"
    # Tools are listed at the end of the first system message, or in one of their own.
    "{%- if tools and not (messages and messages[0].role == 'system') -%}"
    "{{- '<|system|>' + listing(tools) + '<|end|>' -}}"
    "{%- endif -%}"
    "{%- for message in messages -%}"
    "{%- set role = message['role'] -%}"
    "{%- set content = message['content'] or '' -%}"
    "{%- if role not in ['system', 'user', 'assistant', 'tool'] -%}"
    "{{- raise_exception('unknown role ' + role) -}}"
    "{%- endif -%}"
    "{{- '<|' + role + '|>' -}}"
    "{%- if role == 'assistant' and message['tool_calls'] -%}"
    "{{- content -}}"
    "{%- for call in message['tool_calls'] -%}"
    "{%- set function = call['function'] if call['function'] is defined else call -%}"
    "{%- set arguments = function['arguments'] or {} -%}"
    "{{- '' if loop.first and not content else '\\n' -}}"
    "{{- '<tool_call>\\n{\"name\": ' + function['name'] | tojson + ', \"arguments\": ' -}}"
    "{{- arguments if arguments is string else arguments | tojson -}}"
    "{{- '}\\n</tool_call>' -}}"
    "{%- endfor -%}"
    "{%- else -%}{{- '' + content -}}{%- endif -%}"
    "{%- if tools and loop.first and role == 'system' -%}"
    "{{- ('\\n\\n' if content else '') + listing(tools) -}}"
    "{%- endif -%}"
    "{{- '<|end|>' -}}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|assistant|>' -}}{%- endif -%}"
)


def system_with_tools(system: str | None, tools: Sequence[str]) -> str:
    """The system message that lists `tools`, each the JSON text of an OpenAI tool."""
    listing = "\n".join([HOW_TO_CALL, *(signature(json.loads(tool)) for tool in tools)])
    return f"{system}\n\n{listing}" if system else listing


def turns_with_tools(turns: Sequence[Turn], tools: Sequence[str]) -> tuple[Turn, ...]:
    """The conversation with `tools` in its first system message, which is added if need be."""
    if not tools:
        return tuple(turns)
    has_system = bool(turns) and turns[0].role == "system"
    system = turns[0].content if has_system else None
    rest = turns[1:] if has_system else turns
    return (Turn("system", system_with_tools(system, tools)), *rest)


def signature(tool: Mapping[str, Any]) -> str:
    """The line of a tool, of which `tool` is the OpenAI object or the function in it."""
    function = tool.get("function", tool)
    line = {"name": function["name"]}
    if function.get("description"):
        line["description"] = function["description"]
    schema = function.get("parameters") or {}
    required = schema.get("required")
    line["parameters"] = {
        name + ("?" if required is not None and name not in required else ""): _kind(part)
        for name, part in (schema.get("properties") or {}).items()
    }
    return _json(line)


def call_text(name: str, arguments: Mapping[str, Any]) -> str:
    """A call as the model writes it; several are separated by a line break."""
    return CALL_START + _json({"name": name, "arguments": arguments}) + CALL_END


def _kind(schema: Any) -> Any:
    if isinstance(schema, dict):
        if "enum" in schema:
            return schema["enum"]
        if "type" in schema and "properties" not in schema:
            return schema["type"]
    return schema


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
