"""The chat template and the training data write tools, calls and results in the same way."""

import json
import re
from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast

from training.tasks.numbers import arithmetic
from training.tasks.problem import Problem, Turn
from training.tasks.tools import calls as tools
from training.tasks.tools.kinds import Kind
from training.tasks.tools.missing import GAPS
from training.tasks.tools.offers import KINDS
from training.tool_prompt import CHAT_TEMPLATE, call_text, system_with_tools, turns_with_tools
from training.wordings import Draw

WORDS = (
    *("red", "blue fox", 'a "quoted" word', "naïve 日本", "x < y & z's", "line\nbreak", "{}[]", ""),
)
SCHEMAS: tuple[dict[str, Any], ...] = (
    {"type": "string"},
    {"type": "integer", "description": "A <number>."},
    {"type": "string", "enum": ["C", "F"]},
    {"type": ["number", "null"]},
    {"anyOf": [{"type": "string"}, {"type": "null"}]},
    {"type": "array", "items": {"type": "string"}},
    {"type": "object", "properties": {"inner": {"type": "boolean"}}},
    {},
)
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Get the weather.",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string", "description": "City and country"},
                "unit": {"type": "string", "enum": ["C", "F"]},
            },
            "required": ["city"],
        },
    },
}


def render(messages: list[dict[str, Any]], **options: Any) -> str:
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.BPE()))
    tokenizer.chat_template = CHAT_TEMPLATE
    text: str = tokenizer.apply_chat_template(messages, tokenize=False, **options)
    return text


def drawn_tool(rng: Random) -> dict[str, Any]:
    names = rng.sample(["city", "items", "keys", "date", "größe", "type"], rng.randint(0, 4))
    function: dict[str, Any] = {"name": rng.choice(["add", "get_weather", "items"])}
    if rng.random() < 0.7:
        function["description"] = rng.choice(WORDS)
    if rng.random() < 0.9:
        schema: dict[str, Any] = {
            "type": "object",
            "properties": {name: rng.choice(SCHEMAS) for name in names},
        }
        if rng.random() < 0.6:
            schema["required"] = names[: rng.randint(0, len(names))]
        function["parameters"] = rng.choice([schema, schema, None, {}])
    return {"type": "function", "function": function}


def drawn_arguments(rng: Random) -> dict[str, Any]:
    values = (*WORDS, 3, -0.5, True, None, ["a", 1], {"deep": "x"})
    return {rng.choice(WORDS): rng.choice(values) for _ in range(rng.randint(0, 3))}


def drawn_conversation(rng: Random) -> tuple[list[dict[str, Any]], list[Turn]]:
    """Messages of OpenAI, and the turns that they are."""
    messages: list[dict[str, Any]] = []
    turns: list[Turn] = []
    if rng.random() < 0.5:
        messages.append({"role": "system", "content": rng.choice(WORDS)})
        turns.append(Turn("system", messages[0]["content"]))
    for _ in range(rng.randint(1, 6)):
        role = rng.choice(["user", "assistant", "tool"])
        message: dict[str, Any] = {"role": role, "content": rng.choice(WORDS)}
        text = message["content"]
        if role == "assistant" and rng.random() < 0.7:
            calls = [(rng.choice(["add", "f"]), drawn_arguments(rng)) for _ in range(2)]
            message["content"] = rng.choice([None, "", text])
            message["tool_calls"] = [
                {"id": "call_1", "type": "function", "function": {"name": n, "arguments": given}}
                for n, given in calls
            ]
            blocks = [call_text(n, given) for n, given in calls]
            text = "\n".join([message["content"], *blocks] if message["content"] else blocks)
        messages.append(message)
        turns.append(Turn(role, text))
    return messages, turns


@pytest.mark.parametrize("seed", range(300))
def test_the_template_and_the_training_data_agree(seed: int) -> None:
    rng = Random(seed)
    messages, turns = drawn_conversation(rng)
    tools = [drawn_tool(rng) for _ in range(rng.randint(0, 3))]
    asks = rng.random() < 0.5
    texts = [json.dumps(tool, ensure_ascii=rng.random() < 0.5) for tool in tools]
    expected = "".join(
        f"<|{turn.role}|>{turn.content}<|end|>" for turn in turns_with_tools(turns, texts)
    ) + ("<|assistant|>" if asks else "")
    assert render(messages, tools=tools or None, add_generation_prompt=asks) == expected
    with_texts = [
        message
        | {
            "tool_calls": [
                {"function": {**(f := call["function"]), "arguments": json.dumps(f["arguments"])}}
                for call in message.get("tool_calls", [])
            ]
        }
        for message in messages
    ]
    if expected.isascii():  # a client may send arguments as text in JSON's ASCII escapes
        assert render(with_texts, tools=tools, add_generation_prompt=asks) == expected


def test_a_tool_is_one_short_line() -> None:
    listing = system_with_tools(None, [json.dumps(WEATHER)])
    assert listing.splitlines()[1:] == [
        '{"name": "get_weather", "description": "Get the weather.", '
        '"parameters": {"city": "string", "unit?": ["C", "F"]}}'
    ]
    bare = system_with_tools(None, [json.dumps(WEATHER["function"])])
    assert bare == listing
    assert system_with_tools("Be brief.", [json.dumps(WEATHER)]) == f"Be brief.\n\n{listing}"


def test_calls_have_the_format_of_hermes() -> None:
    assert call_text("get_weather", {"city": "Paris"}) == (
        '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Paris"}}\n</tool_call>'
    )


@pytest.mark.parametrize("tools", [None, []])
def test_conversations_without_tools_are_plain(tools: list[Any] | None) -> None:
    rng = Random(1)
    for _ in range(100):
        messages = [
            {"role": rng.choice(["system", "user", "assistant"]), "content": rng.choice(WORDS)}
            for _ in range(rng.randint(1, 5))
        ]
        expected = "".join(f"<|{turn['role']}|>{turn['content']}<|end|>" for turn in messages)
        assert render(messages, tools=tools) == expected
        asked = render(messages, tools=tools, add_generation_prompt=True)
        assert asked == f"{expected}<|assistant|>"


@pytest.mark.parametrize("role", ["system", "user", "assistant", "tool"])
def test_no_content_is_an_empty_one(role: str) -> None:
    empty = f"<|{role}|><|end|>"
    assert render([{"role": role, "content": None}]) == empty
    assert render([{"role": role}]) == empty
    listing = system_with_tools(None, [json.dumps(WEATHER)])
    with_tools = render([{"role": role, "content": None}], tools=[WEATHER])
    expected = "" if role == "system" else empty
    assert with_tools == f"<|system|>{listing}<|end|>{expected}"


def test_bare_functions_are_listed_as_tools_are() -> None:
    question = [{"role": "user", "content": "Hi"}]
    whole = render(question, tools=[WEATHER])
    assert render(question, tools=[WEATHER["function"]]) == whole


@pytest.mark.parametrize("arguments", [{"city": "Paris"}, '{"city": "Paris"}'])
@pytest.mark.parametrize("content", [None, "", "I look."])
def test_calls_are_as_the_model_writes_them(arguments: Any, content: str | None) -> None:
    function = {"name": "get_weather", "arguments": arguments}
    for call in ({"id": "1", "type": "function", "function": function}, function):
        message = {"role": "assistant", "content": content, "tool_calls": [call]}
        text = call_text("get_weather", {"city": "Paris"})
        text = f"{content}\n{text}" if content else text
        assert render([message]) == f"<|assistant|>{text}<|end|>"


def test_calls_are_read_by_the_parser_of_hermes() -> None:
    text = "\n".join(call_text("f", {"text": WORDS[i]}) for i in range(len(WORDS)))
    blocks = re.findall(r"<tool_call>(.*?)</tool_call>", text, re.DOTALL)
    assert [json.loads(block)["arguments"]["text"] for block in blocks] == list(WORDS)


@pytest.mark.parametrize("role", ["function", "developer", ""])
def test_unknown_roles_are_refused(role: str) -> None:
    with pytest.raises(Exception, match=f"unknown role {role}"):
        render([{"role": role, "content": "x"}], tools=[WEATHER])


def plain_sum(draw: Draw) -> Problem:
    return tools.with_useless_tools(draw, arithmetic.addition(draw))


GENERATORS = (
    *(tools.tool_call, tools.tool_calls, tools.tool_lacking, tools.tool_missing, plain_sum),
    *(tools.tool_result, tools.tool_follow_up, tools.tool_names),
)
JSON_TYPES: dict[str, Any] = {
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "array": list,
}


@pytest.mark.parametrize("generator", GENERATORS)
def test_problems_with_tools_are_what_a_server_sees(
    generator: Callable[[Draw], Problem],
) -> None:
    for seed in range(100):
        problem = generator(Draw(Random(seed)))
        messages = [{"role": turn.role, "content": turn.content} for turn in problem.turns]
        offered = [json.loads(tool) for tool in problem.tools]
        expected = "".join(
            f"<|{turn.role}|>{turn.content}<|end|>"
            for turn in turns_with_tools(problem.turns, problem.tools)
        )
        assert render(messages, tools=offered) == expected


@pytest.mark.parametrize("generator", [tools.tool_call, tools.tool_calls, tools.tool_follow_up])
@pytest.mark.parametrize("words", ["train", "test"])
def test_calls_fit_their_tools(generator: Callable[[Draw], Problem], words: Any) -> None:
    for seed in range(200):
        problem = generator(Draw(Random(seed), words))
        functions = [json.loads(tool)["function"] for tool in problem.tools]
        schemas = {one["name"]: one["parameters"] for one in functions}
        assert len(schemas) == len(functions)
        blocks = problem.answer.removesuffix("\n</tool_call>").split("\n</tool_call>\n")
        for block in blocks:
            call = json.loads(block.removeprefix("<tool_call>\n"))
            schema, given = schemas[call["name"]], call["arguments"]
            assert list(given) == [name for name in schema["properties"] if name in given]
            assert set(schema["required"]) <= set(given)
            for name, value in given.items():
                part = schema["properties"][name]
                assert isinstance(value, JSON_TYPES[part["type"]])
                assert "enum" not in part or value in part["enum"]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.names[0])
def test_requests_have_slots_for_what_their_kind_needs(kind: Kind) -> None:
    needed = {key for key, parameter in kind.parameters.items() if not parameter.phrases}
    for template in kind.requests:
        assert set(re.findall(r"{(\w+)}", template)) - {"more"} == needed
    for template in kind.lists:
        assert re.findall(r"{(\w+)}", template) == [next(iter(kind.parameters))]
    known = set(kind.parameters).union(*(result.fields for result in kind.results))
    for result in kind.results:
        assert set(re.findall(r"{(\w+)}", result.sentence)) <= known
    for gap in GAPS:
        for template in gap.requests if gap.kind is kind else ():
            assert set(re.findall(r"{(\w+)}", template)) == needed - {gap.parameter}


def test_listings_are_short() -> None:
    for seed in range(300):
        problem = tools.tool_call(Draw(Random(seed)))
        assert (
            sum(len(turn.content) for turn in turns_with_tools(problem.turns, problem.tools)) < 900
        )
