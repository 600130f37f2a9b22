"""Fields of a body that offer functions to a model, in OpenAI's shape."""

import re
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field
from pydantic.config import JsonDict

from unmask.api.errors import json_excerpt
from unmask.api.fields import Body, Bool, items
from unmask.errors import InvalidRequest

MAX_NAME = 128  # characters, as in MCP and for Anthropic; OpenAI has 64
NAME = re.compile(rf"[A-Za-z0-9_.-]{{1,{MAX_NAME}}}")
WORDS = ("none", "auto", "required")


class Function(Body):
    """A function that an answer may call; without `parameters` it has no arguments.

    Arguments match the schema whether or not the function is `strict`. Unless it is, keywords of
    the schema that are not supported are left out.
    """

    name: Annotated[str, Field(json_schema_extra={"pattern": f"^{NAME.pattern}$"})]
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: Bool | None = None


class Tool(Body):
    """A tool; functions are the only kind."""

    type: Literal["function"]
    function: Function


class FunctionName(Body):
    """The one function that an answer has to call."""

    name: str


class AllowedTool(Body):
    """One of the functions that an answer may call."""

    type: Literal["function"]
    function: FunctionName


class AllowedTools(Body):
    """The only functions that an answer may call, of all that the model is shown."""

    mode: Literal["auto", "required"]
    tools: Annotated[tuple[AllowedTool, ...], items(1)]


def _choice_with(kind: str) -> JsonDict:
    """Schema of a choice whose type is the name of a field that it has."""
    return {
        "required": [kind],
        "properties": {"type": {"const": kind}, kind: {"type": "object"}},
    }


class ToolChoice(Body):
    """The functions to call, or a word that says whether any is called."""

    model_config = ConfigDict(
        json_schema_extra={
            "anyOf": [
                {"properties": {"type": {"enum": [*WORDS]}}},
                _choice_with("function"),
                _choice_with("allowed_tools"),
            ]
        }
    )

    type: Literal["none", "auto", "required", "function", "allowed_tools"]
    function: FunctionName | None = None
    allowed_tools: AllowedTools | None = None


def _as_choice(value: Any) -> Any:
    if isinstance(value, str) and value in WORDS:
        return {"type": value}
    if value is None or isinstance(value, dict | ToolChoice):
        return value
    raise ValueError(f"must be {', '.join(WORDS)} or a function")


Choice = Annotated[
    ToolChoice | None,
    BeforeValidator(
        _as_choice, json_schema_input_type=Literal["none", "auto", "required"] | ToolChoice | None
    ),
]


def check_tools(tools: Sequence[Tool]) -> None:
    """Raise `InvalidRequest` for names that are odd or used twice, and arguments of other types."""
    names: set[str] = set()
    for i, tool in enumerate(tools):
        function, path = tool.function, f"tools[{i}].function"
        if not NAME.fullmatch(function.name):
            raise InvalidRequest(
                f"{path}.name must be 1 to {MAX_NAME} letters, digits, dots, dashes and "
                f"underscores, got {json_excerpt(function.name)}",
                field=f"{path}.name",
            )
        if function.name in names:
            raise InvalidRequest(
                f"{path}.name: there are two functions {function.name}", field=f"{path}.name"
            )
        names.add(function.name)
        kind = _schema(function).get("type", "object")
        if kind != "object" and not (isinstance(kind, list) and "object" in kind):
            raise InvalidRequest(
                f"{path}.parameters must be the schema of an object, "
                f"got the type {json_excerpt(kind)}",
                field=f"{path}.parameters",
            )


def tool_for_template(tool: Tool) -> dict[str, Any]:
    """The tool for a chat template, in the shape that models are trained with."""
    function: dict[str, Any] = {"name": tool.function.name}
    if tool.function.description is not None:
        function["description"] = tool.function.description
    function["parameters"] = _schema(tool.function) or {"type": "object", "properties": {}}
    return {"type": tool.type, "function": function}


def schema_of_arguments(function: Function) -> dict[str, Any]:
    """The schema of a function's arguments, which are an object."""
    if function.parameters is None:
        return {"type": "object", "properties": {}}
    return {**_schema(function), "type": "object"}


def _schema(function: Function) -> dict[str, Any]:
    """The parameters without keywords that are null, such as `required` of some MCP servers."""
    given = function.parameters or {}
    return {name: value for name, value in given.items() if value is not None}
