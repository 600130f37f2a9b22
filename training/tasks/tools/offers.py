"""Tools as they are offered: kinds under drawn names, invented tools, and requests for calls."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from training.tasks.tools import kinds as t
from training.tasks.tools import kinds_computer as tool_kinds_computer
from training.tasks.tools import kinds_home as tool_kinds_home
from training.tasks.tools import kinds_messages as tool_kinds_messages
from training.tasks.tools import kinds_more as tool_kinds_more
from training.tasks.tools import kinds_numbers as tool_kinds_numbers
from training.tasks.tools import kinds_travel as tool_kinds_travel
from training.tasks.tools import kinds_weather as tool_kinds_weather
from training.tasks.tools.kinds import Kind, Value
from training.tool_prompt import call_text
from training.wordings import Draw, allowed, expand

KINDS = tuple(
    value
    for module in (
        tool_kinds_weather,
        tool_kinds_numbers,
        tool_kinds_travel,
        tool_kinds_messages,
        tool_kinds_home,
        tool_kinds_computer,
        tool_kinds_more,
    )
    for value in vars(module).values()
    if isinstance(value, Kind)
)
COMMON_KINDS = (
    *(tool_kinds_weather.WEATHER, tool_kinds_weather.WEATHER, tool_kinds_weather.TIME),
    *(tool_kinds_numbers.ADD, tool_kinds_numbers.MULTIPLY, tool_kinds_weather.SEARCH),
    *(tool_kinds_numbers.CONVERT_CURRENCY, tool_kinds_weather.TRANSLATE, tool_kinds_weather.STOCK),
    *(tool_kinds_messages.EMAIL, tool_kinds_messages.TIMER, tool_kinds_home.MUSIC),
    *(tool_kinds_messages.EVENT, tool_kinds_home.LIGHT, tool_kinds_numbers.CALCULATE),
    *(tool_kinds_messages.MESSAGE, tool_kinds_messages.REMINDER),
)
"""Kinds that newcomers try."""

EXPLICIT_REQUESTS = (
    "~[Use|Call|Run|Try] {tool}{args}.",
    "~[Use|Call|Run|Invoke] the [tool|function] {tool}{args}.",
    "~[Use|Call|Run|Invoke] the {tool} [tool|function]{args}.",
    "{tool}{args}",
    "~Make a call [to|of] {tool}{args}.",
    "I [want|need] you to [use|call|run] {tool}{args}.",
    "~[Call|Run|Execute] {call}",
    "{call}",
    "What does {tool} [return|say|give]{args}?",
    "~Execute {tool}{args}.",
    "~Show me how you call {tool}{args}.",
    "[Tool|Function|Call]: {tool}{args}",
    "I'd like [to run|to call|a call of] {tool}{args}.",
    "What is the result of {call}?",
)
PAIRS = (
    "{name} {value}",
    "{name} {value}",
    "{name} = {value}",
    "{name}: {value}",
    "{name}={value}",
)
AROUND = (
    *((" with ", ""), (" with ", ""), (" with ", ""), (", ", ""), (": ", ""), (" (", ")")),
    *((" using ", ""), (", where ", "")),
)
SYNONYMS = {
    "get": "fetch lookup query retrieve show read request load tell find",
    "fetch": "get retrieve load pull",
    "send": "deliver post dispatch",
    "set": "update configure change put",
    "create": "add make new insert build",
    "play": "start stream put_on run",
    "convert": "change transform translate exchange",
    "turn": "switch",
    "search": "find lookup query browse",
    "find": "search get lookup show",
    "book": "reserve order request",
    "order": "buy request purchase",
    "calculate": "compute work_out find",
    "translate": "convert render",
    "make": "start do",
    "open": "start launch show",
    "delete": "remove erase drop",
}
COMMANDS = (
    "get look fetch add subtract multiply divide evaluate search convert translate find plan book "
    "track roll read send call start set remind create save play change turn switch control lock "
    "put order reserve transfer open delete remove move generate draw run execute write"
).split()
OPAQUE = "tool_{n} fn_{n} action{n} function_{n} t{n} helper_{n} do_{n} api_{n}".split()
STYLES = ("snake", "snake", "snake", "snake", "camel", "camel", "pascal", "kebab")


@dataclass(frozen=True, slots=True)
class Offer:
    """A tool under the names of one listing; `names` maps canonical names in the listing's order.

    `options` are the values of enums, with the words that requests use for them.
    """

    kind: Kind
    name: str
    names: Mapping[str, str]
    options: Mapping[str, Mapping[str, str]]
    types: Mapping[str, str]
    description: str | None = None

    def tool(self, with_description: bool = True) -> str:
        """The JSON text of the OpenAI tool."""
        properties: dict[str, Any] = {}
        for key, name in self.names.items():
            properties[name] = {"type": self.types[key]}
            if key in self.options:
                properties[name]["enum"] = list(self.options[key])
        parameters = self.kind.parameters
        required = [name for key, name in self.names.items() if not parameters[key].phrases]
        function: dict[str, Any] = {"name": self.name}
        if self.description and with_description:
            function["description"] = self.description
        function["parameters"] = {
            "type": "object",
            "properties": properties,
            "required": required,
        }
        return json.dumps({"type": "function", "function": function}, ensure_ascii=False)


@dataclass(frozen=True, slots=True)
class Call:
    """A call of a tool: canonical arguments, and the slots of a request for it."""

    offer: Offer
    given: Mapping[str, Value]
    slots: Mapping[str, Any]

    @property
    def text(self) -> str:
        """The call as the model writes it."""
        names = self.offer.names
        return call_text(
            self.offer.name, {names[key]: self.given[key] for key in names if key in self.given}
        )

    @property
    def key(self) -> str:
        """The call whatever the names in the listing are."""
        ordered = {key: self.given[key] for key in self.offer.kind.parameters if key in self.given}
        return f"{self.offer.kind.names[0]}:{json.dumps(ordered, ensure_ascii=False)}"


def styled(name: str, style: str) -> str:
    """A name in `snake_case`, `camelCase`, `PascalCase` or `kebab-case`."""
    first, *rest = name.split("_")
    match style:
        case "camel":
            return first + "".join(map(str.capitalize, rest))
        case "pascal":
            return "".join(map(str.capitalize, (first, *rest)))
        case "kebab":
            return name.replace("_", "-")
        case _:
            return name


def draw_offer(draw: Draw, kind: Kind, style: str = "snake") -> Offer:
    """The kind under drawn names; now and then one that only its description explains."""
    rng = draw.rng
    name = kind.names[0] if draw.chance(0.35) else draw.pick(kind.names)
    if draw.chance(0.25):
        first, *rest = name.split("_")
        name = "_".join((draw.pick(SYNONYMS.get(first, first).split()), *rest))
    name = styled(name, style)
    description = _described(draw, kind) if draw.chance(0.45) else None
    if draw.chance(0.05):
        name = draw.pick(OPAQUE).format(n=rng.randint(1, 99))
        description = _described(draw, kind)
    elif draw.chance(0.06):
        name += draw.pick(("_tool", "Tool", "_v2", "_api", "2", "_now"))
    keys = list(kind.parameters)
    if draw.chance(0.12):
        rng.shuffle(keys)
    style = style if style == "camel" else "snake"
    at = rng.randrange(12)  # the names of a pair of parameters go together
    names = {
        key: styled(options[at % len(options)], style)
        for key in keys
        if (options := kind.parameters[key].names)
    }
    if len(set(names.values())) < len(names):
        names = {key: styled(key, style) for key in keys}
    types = {key: kind.parameters[key].type for key in keys}
    if draw.chance(0.2):
        types = {key: "number" if one == "integer" else one for key, one in types.items()}
    return Offer(
        kind,
        name,
        names,
        {key: draw.pick(sets) for key in keys if (sets := kind.parameters[key].options)},
        types,
        description,
    )


def _described(draw: Draw, kind: Kind) -> str:
    """A description, with or without the phrases that people add to it."""
    text = draw.pick(kind.descriptions)
    first = text.split()[0].lower()
    if draw.chance(0.2) and first in COMMANDS:
        before = draw.pick(("Use this to ", "Tool to ", "A tool to ", "Used to "))
        text = before + first + text[len(first) :]
    if draw.chance(0.1):
        text += draw.pick((" Returns JSON.", " Returns text.", " Call it when asked.", " (v2)"))
    return text.rstrip(".") if draw.chance(0.25) else text


def draw_call(draw: Draw, offer: Offer, optional_share: float = 0.4) -> Call:
    """Arguments for a tool, and what a request says of them."""
    given: dict[str, Value] = {}
    slots: dict[str, Any] = dict(offer.kind.words)
    more = ""
    for key, parameter in offer.kind.parameters.items():
        if parameter.phrases and not draw.chance(optional_share):
            continue
        value, said = _draw_value(draw, offer, key)
        for _ in range(5):  # a route does not end where it starts
            if not (isinstance(value, str) and value in given.values()):
                break
            value, said = _draw_value(draw, offer, key)
        given[key] = value
        if parameter.phrases:
            param = offer.names[key].replace("_", " ")
            more += draw.pick(parameter.phrases).format(value=said, param=param)
        else:
            slots[key] = said
    return Call(offer, given, slots | {"more": more})


def _draw_value(draw: Draw, offer: Offer, key: str) -> tuple[Value, str]:
    parameter = offer.kind.parameters[key]
    if key in offer.options:
        value, said = draw.pick(list(offer.options[key].items()))
        return value, said
    drawn = parameter.draw(draw)
    return drawn, parameter.say(draw, drawn) if parameter.say else str(drawn)


def with_more(template: str) -> str:
    """The template with a slot for optional arguments, before its last punctuation."""
    if "{more}" in template:
        return template
    return re.sub(r"(\[[?.|!]+\]|[?.!])?$", r"{more}\1", template, count=1)


@cache
def requests_of(templates: tuple[str, ...]) -> tuple[str, ...]:
    """Templates with slots for optional arguments."""
    return tuple(map(with_more, templates))


def say_call(draw: Draw, call: Call) -> str:
    """A request for a call: of what it does, or of the tool by its name."""
    kind = call.offer.kind
    is_invented = bool(kind.words)
    if draw.chance(0.25 if is_invented else 0.06):
        args, written = _arguments(draw, call)
        return draw.say(EXPLICIT_REQUESTS, tool=call.offer.name, args=args, call=written)
    if is_invented:
        value = " ".join(_said(one) for one in call.given.values())
        args, _ = _arguments(draw, call)
        text = draw.say(kind.requests, args=args, value=value, **kind.words)
        return text[0].upper() + text[1:] if draw.chance(0.5) else text
    return draw.say(requests_of(kind.requests), **call.slots)


def say_plainly(draw: Draw, call: Call, *, as_imperative: bool) -> str:
    """A request for a known tool without politeness or slips, as a part of a longer one."""
    templates = allowed(requests_of(call.offer.kind.requests), draw.words)
    if as_imperative:
        all_templates = requests_of(call.offer.kind.requests)
        templates = tuple(one for one in templates if one.startswith("~")) or tuple(
            one for one in allowed(all_templates, "train") if one.startswith("~")
        )
    template = draw.pick(templates)
    draw.said.append(template)
    text = expand(draw.rng, template.removeprefix("~"))
    return re.sub(r"\{(\w+)\}", lambda found: call.slots[found[1]], text)


def _arguments(draw: Draw, call: Call) -> tuple[str, str]:
    """The arguments of an explicit request, and the call as in a program."""
    named = {call.offer.names[key]: value for key, value in call.given.items()}
    written = ", ".join(
        f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in named.items()
    )
    program = f"{call.offer.name}({written})"
    if not named:
        return "", program
    if len(named) == 1 and draw.chance(0.35):
        value = _said(*named.values())
        return draw.pick((" {}", ": {}", " with {}", " on {}", " for {}")).format(value), program
    as_words = draw.chance(0.5)
    pair = draw.pick(PAIRS)
    pairs = [
        pair.format(name=name.replace("_", " ") if as_words else name, value=_said(value))
        for name, value in named.items()
    ]
    before, after = draw.pick(AROUND)
    text = ", ".join(pairs) if draw.chance(0.5) else t.listed(pairs)
    return f"{before}{text}{after}", program


def _said(value: Value) -> str:
    if isinstance(value, list):
        return t.listed(value)
    return str(value).lower() if isinstance(value, bool) else str(value)
