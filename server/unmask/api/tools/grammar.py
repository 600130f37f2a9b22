"""Grammars of answers with calls: each is a function's name and arguments by its schema."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from unmask.api.errors import json_excerpt
from unmask.api.reasoning import ThoughtTags
from unmask.api.structured import Structured
from unmask.api.tools.bodies import (
    AllowedTools,
    Function,
    Tool,
    ToolChoice,
    check_tools,
    schema_of_arguments,
    tool_for_template,
)
from unmask.api.tools.calls import GEMMA_BEGINNING, beginning_of
from unmask.api.tools.formats import CallFormat, format_of_template
from unmask.errors import InvalidRequest
from unmask.grammar import (
    GEMMA_QUOTE,
    Chain,
    Choice,
    GemmaArguments,
    Grammar,
    Literal,
    PythonArguments,
    Repeated,
    SpecialToken,
    Text,
    json_schema_of,
)

Tag = Callable[[str], Grammar]


class Asking(Protocol):
    """The fields of a chat's body that are about tools."""

    @property
    def tools(self) -> tuple[Tool, ...] | None: ...

    @property
    def tool_choice(self) -> ToolChoice | None: ...

    @property
    def parallel_tool_calls(self) -> bool | None: ...


@dataclass(frozen=True, slots=True)
class ToolUse:
    """Functions that an answer may call, by their place among the tools; how, and how many."""

    tools: tuple[Tool, ...]
    functions: tuple[tuple[int, Function], ...]
    form: CallFormat
    is_required: bool
    is_parallel: bool

    @property
    def for_template(self) -> tuple[dict[str, Any], ...]:
        """All tools, as the chat template is given them."""
        return tuple(map(tool_for_template, self.tools))

    def arguments(self, tag: Tag) -> tuple[Structured, ...]:
        """Arguments of each function in the model's notation, and the path of their schema."""
        return tuple(
            Structured(self._written(tag, function), f"tools[{i}].function.parameters")
            for i, function in self.functions
        )

    def _written(self, tag: Tag, function: Function) -> Grammar:
        schema = json_schema_of(schema_of_arguments(function), is_exact=bool(function.strict))
        match self.form.kind:
            case "gemma":
                quote = tag(GEMMA_QUOTE)
                assert isinstance(quote, Literal | SpecialToken)
                return GemmaArguments(schema, quote)
            case "python":
                return PythonArguments(schema)
            case "lines" | "list":
                return schema

    def grammar(
        self,
        tag: Tag,
        thoughts: ThoughtTags,
        arguments: Sequence[Structured],
        text: Grammar | None,
        *,
        goes_on: bool,
    ) -> Grammar:
        """Grammar of an answer, with its tags by `tag`; `text` is the format of one without calls.

        Without a format it is free text, which may come before calls too, and behind them if it
        `goes_on`: without the text by which `CallSplitter` finds calls.
        """
        calls = self._calls(tag, arguments)
        if self.is_required:
            return calls
        if text is not None:
            return Choice((text, calls))
        # Text of a tag would be read as the tag.
        tags = self.form.opening, thoughts.opening
        if goes_on:
            calls = Chain((calls, Text((*tags, beginning_of(self.form)))))
        return Chain((Text(tags), Repeated(calls, 0, 1)))

    def _calls(self, tag: Tag, arguments: Sequence[Structured]) -> Grammar:
        opening, closing = tag(self.form.opening), tag(self.form.closing)
        functions = zip(self.functions, arguments, strict=True)
        call = Choice(tuple(self._call(f.name, given.grammar) for (_, f), given in functions))
        match self.form.kind:
            case "gemma":
                one = Chain((opening, call, closing))
                return Chain((one, *self._more(one)))
            case "list" | "python":
                more = self._more(Chain((Literal(", "), call)))
                return Chain((opening, Literal("["), call, *more, Literal("]"), closing))
            case "lines":
                one = Chain((opening, Literal("\n"), call, Literal("\n"), closing))
                return Chain((one, *self._more(Chain((Literal("\n"), one)))))

    def _call(self, name: str, arguments: Grammar) -> Grammar:
        match self.form.kind:
            case "gemma":
                return Chain((Literal(f"{GEMMA_BEGINNING}{name}"), arguments))
            case "python":
                return Chain((Literal(name), arguments))
            case "lines" | "list":
                return Chain((Literal(beginning(name)), arguments, Literal("}")))

    def _more(self, call: Grammar) -> tuple[Grammar, ...]:
        return (Repeated(call),) if self.is_parallel else ()


def beginning(name: str) -> str:
    """Text of a call up to its arguments; a name has no character that JSON escapes."""
    return f'{{"name": "{name}", "arguments": '


def offers_tools(body: Asking) -> bool:
    """True if the answer may have calls; with `none`, tools are not even shown to the model."""
    return bool(body.tools) and (body.tool_choice is None or body.tool_choice.type != "none")


def tool_use_of(body: Asking, template: str | None) -> ToolUse | None:
    """The calls that a body asks for, None for an answer that has none; raises `InvalidRequest`.

    `template` is the chat template for conversations with tools.
    """
    if body.tools is None and body.tool_choice is None:
        return None
    tools = body.tools or ()
    kind = "auto" if body.tool_choice is None else body.tool_choice.type
    check_tools(tools)
    if not tools and kind not in ("none", "auto"):
        raise InvalidRequest("tool_choice needs tools", field="tool_choice")
    if not offers_tools(body):
        return None
    functions = tuple((i, tool.function) for i, tool in enumerate(tools))
    must_call = kind in ("required", "function")
    if kind == "function":
        functions = _named(functions, body.tool_choice)
    if kind == "allowed_tools":
        allowed = _allowed_tools(body.tool_choice)
        functions = _allowed(functions, allowed)
        must_call = allowed.mode == "required"
    return ToolUse(
        tools=tools,
        functions=functions,
        form=format_of_template(template),
        is_required=must_call,
        is_parallel=body.parallel_tool_calls is not False,
    )


def _named(
    functions: tuple[tuple[int, Function], ...], choice: ToolChoice | None
) -> tuple[tuple[int, Function], ...]:
    """The one function that the choice names."""
    if choice is None or choice.function is None:
        raise InvalidRequest(
            "tool_choice.function is required",
            field="tool_choice.function",
            code="missing_required_parameter",
        )
    name = choice.function.name
    named = tuple((i, function) for i, function in functions if function.name == name)
    if not named:
        raise InvalidRequest(
            f"tool_choice.function.name must be the name of one of the tools, "
            f"got {json_excerpt(name)}",
            field="tool_choice.function.name",
        )
    return named


def _allowed_tools(choice: ToolChoice | None) -> AllowedTools:
    if choice is None or choice.allowed_tools is None:
        raise InvalidRequest(
            "tool_choice.allowed_tools is required",
            field="tool_choice.allowed_tools",
            code="missing_required_parameter",
        )
    return choice.allowed_tools


def _allowed(
    functions: tuple[tuple[int, Function], ...], allowed: AllowedTools
) -> tuple[tuple[int, Function], ...]:
    """The functions that are allowed, in the order of all tools."""
    names = {tool.function.name for tool in allowed.tools}
    if not names:
        raise InvalidRequest(
            "tool_choice.allowed_tools.tools must not be empty",
            field="tool_choice.allowed_tools.tools",
        )
    if unknown := sorted(names - {function.name for _, function in functions}):
        raise InvalidRequest(
            "tool_choice.allowed_tools.tools must have the names of tools only, "
            f"got {json_excerpt(unknown[0])}",
            field="tool_choice.allowed_tools.tools",
        )
    return tuple((i, function) for i, function in functions if function.name in names)


def tools_to_render(tools: Sequence[Tool], template: str | None) -> tuple[dict[str, Any], ...]:
    """Tools for a chat template; raises `InvalidRequest`, if it has none for instance."""
    check_tools(tools)
    if tools:
        format_of_template(template)
    return tuple(map(tool_for_template, tools))
