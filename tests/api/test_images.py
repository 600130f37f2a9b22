"""Images in conversations: their rows in prompts, in the words of each API, and refusals."""

from dataclasses import replace

import jsonschema
import openai
import pytest

from tests.api.fake_client import ANSWER, MODEL, FakeClient
from tests.support.pictures import (
    MODEL_OF_IMAGES,
    TEMPLATE,
    TOKEN,
    TRAITS,
    image_tokenizer,
    in_base64,
    pixels,
    png,
    rows,
    url_of,
)
from unmask.api.anthropic_bodies import MessagesBody
from unmask.api.images import MAX_IMAGES
from unmask.images import ImageRows

CHAT, MESSAGES, RESPONSES = "/v1/chat/completions", "/v1/messages", "/v1/responses"
COUNT = f"{MESSAGES}/count_tokens"
RED, BLUE = png(), png(8, 24, "blue")
TOKENIZER = image_tokenizer()
TEXT_ONLY = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"


@pytest.fixture
def engine():
    return FakeClient(model=MODEL_OF_IMAGES, tokenizer=TOKENIZER)


def part(file=RED, **fields):
    return {"type": "image_url", "image_url": {"url": url_of(file), **fields}}


def block(file=RED, media_type="image/png"):
    data = in_base64(file)
    return {"type": "image", "source": {"type": "base64", "media_type": media_type, "data": data}}


def item(file=RED, **fields):
    return {"type": "input_image", "image_url": url_of(file), **fields}


def text(content):
    return {"type": "text", "text": content}


def chat(*content, **fields):
    return {"messages": [{"role": "user", "content": list(content)}], **fields}


def messages(*content, **fields):
    return {**chat(*content), "max_tokens": 20, **fields}


def responses(*content, **fields):
    return {"input": [{"role": "user", "content": list(content)}], **fields}


def prompt(*pieces):
    """Token ids of texts and files, and where the rows of files are."""
    ids, placed = [], []
    for piece in pieces:
        if isinstance(piece, str):
            ids += TOKENIZER.encode(piece)
            continue
        made, of_piece = rows(piece), pixels(piece)
        start = len(ids) + len(TRAITS.before)
        placed.append(ImageRows(start, start + of_piece.num_rows, of_piece, True))
        ids += made
    return tuple(ids), tuple(placed)


def sent(engine):
    """The prompt and the images of the last request to the engine."""
    request = engine.requests[-1]
    return request.prompt_token_ids, request.images


def ask(call, path, body):
    response = call("POST", path, json=body)
    assert response.status_code == 200, response.text
    return response


def refusal(call, path, body):
    response = call("POST", path, json=body)
    assert response.status_code == 400, response.text
    error = response.json()["error"]
    assert len(error["message"]) < 400
    return error


def test_files_have_the_rows_that_are_expected():
    assert rows(RED) == [300, 301, *[TRAITS.token_id] * 3, 302]
    assert pixels(BLUE).num_rows == 4


ONE = [
    (CHAT, chat(text("see "), part(), text("?"))),
    (CHAT, chat(text("see "), part(detail="low"), text("?"))),
    (CHAT, chat(text("see "), {"type": "image_url", "image_url": url_of(RED)}, text("?"))),
    (MESSAGES, messages(text("see "), block(), text("?"))),
    (RESPONSES, responses({"type": "input_text", "text": "see "}, item(), {
        "type": "input_text", "text": "?"})),
]  # fmt: skip


@pytest.mark.parametrize(("path", "body"), ONE, ids=lambda value: str(value)[:60])
@pytest.mark.parametrize("streams", [False, True])
def test_an_image_has_its_rows_in_the_prompt(call, engine, path, body, streams):
    ask(call, path, {**body, "stream": streams})
    assert sent(engine) == prompt("user: see ", RED, "?\nassistant: ")


def test_images_of_a_message_and_of_earlier_turns_stay_in_their_order(call, engine):
    turns = [
        {"role": "system", "content": "Look."},
        {"role": "user", "content": [part(RED), part(BLUE), text("!")]},
        {"role": "assistant", "content": "Yes."},
        {"role": "user", "content": [text("a"), text("b")]},
        {"role": "tool", "content": [part(BLUE)]},
    ]
    ask(call, CHAT, {"messages": turns})
    shown = "user: ", RED, BLUE, "!\nassistant: Yes.\nuser: a\nb\ntool: ", BLUE
    expected = prompt("system: Look.\n", *shown, "\nassistant: ")
    assert sent(engine) == expected
    assert [images.pixels for images in expected[1]] == [pixels(RED), pixels(BLUE), pixels(BLUE)]


def test_results_of_tools_have_images_in_the_words_of_each_api(call, engine):
    use = {"type": "tool_use", "id": "t", "name": "look", "input": {}}
    result = {"type": "tool_result", "tool_use_id": "t", "content": [text("it"), block(BLUE)]}
    turns = [
        {"role": "user", "content": [text("go")]},
        {"role": "assistant", "content": [text("ok"), use]},
        {"role": "user", "content": [block(RED), result]},
    ]
    expected = prompt("user: go\nassistant: ok\ntool: it", BLUE, "\nuser: ", RED, "\nassistant: ")
    ask(call, MESSAGES, {"messages": turns, "max_tokens": 20})
    assert sent(engine) == expected
    given = [
        {"role": "user", "content": "go"},
        {"role": "assistant", "content": "ok"},
        {"type": "function_call", "call_id": "t", "name": "look", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "t", "output": [
            {"type": "input_text", "text": "it"}, item(BLUE)]},
        {"role": "user", "content": [item(RED)]},
    ]  # fmt: skip
    ask(call, RESPONSES, {"input": given})
    assert sent(engine) == expected


def test_usage_of_chats_tells_the_tokens_of_images_once_for_all_choices(call):
    body = chat(part(RED), part(BLUE), text("?"), n=2)
    for sent_body, details in ((body, {"image_tokens": 3 + 4}), (chat(text("?")), {})):
        usage = ask(call, CHAT, sent_body).json()["usage"]
        assert usage["prompt_tokens_details"] == {"cached_tokens": 1, **details}


def test_the_token_of_images_is_text_where_a_message_spells_it(call, engine):
    spelled = f"{TOKEN} <|im", "age|>", f"image {TOKEN}"
    ask(call, CHAT, chat(text(spelled[0]), text(spelled[1]), part(), text(spelled[2])))
    ids, images = sent(engine)
    expected, placed = prompt("user: ", RED)
    assert ids.count(TRAITS.token_id) == expected.count(TRAITS.token_id)
    assert images[0].pixels == placed[0].pixels
    assert TOKENIZER.decode(ids, skip_special_tokens=False).count(TOKEN) == 3 + 2 + 1
    for body in (chat(text(TOKEN)), {"messages": [{"role": "user", "content": TOKEN}]}):
        ask(call, CHAT, body)
        ids, images = sent(engine)
        assert (TRAITS.token_id in ids, images) == (False, ())


def test_types_of_parts_stay_though_control_tokens_spell_them(call, engine):
    tags = "[text]", "<image>", "type", "image"
    engine.tokenizer = image_tokenizer(TEMPLATE, tags)
    ask(call, CHAT, chat(text("see"), part()))
    assert [images.pixels for images in sent(engine)[1]] == [pixels(RED)]


def test_choices_of_a_prompt_share_its_images(call, engine):
    ask(call, CHAT, chat(part(), n=2, seed=3))
    assert len(engine.requests) == 2
    first, second = engine.requests
    assert first.images == second.images == prompt("user: ", RED)[1]
    assert first.prompt_token_ids == second.prompt_token_ids


def test_rows_of_images_count_as_prompt_tokens(call, engine):
    ids, _ = prompt("user: ", RED, "\nassistant: ")
    body = ask(call, CHAT, chat(part(), return_token_ids=True)).json()
    assert body["usage"]["prompt_tokens"] == len(ids)
    assert tuple(body["prompt_token_ids"]) == ids
    tokens = ask(call, "/tokenize", chat(part())).json()
    assert (tuple(tokens["tokens"]), tokens["count"]) == (ids, len(ids))
    assert ask(call, COUNT, chat(block())).json() == {"input_tokens": len(ids)}
    rendered = ask(call, "/apply-template", chat(part())).json()["prompt"]
    assert rendered == TOKENIZER.decode(ids, skip_special_tokens=False)


def test_a_prompt_whose_images_are_too_many_for_the_context_is_refused(call, engine):
    engine.model = replace(MODEL_OF_IMAGES, max_model_len=40)
    for path, body in (
        (CHAT, chat(*[part()] * 6)),
        (MESSAGES, messages(*[block()] * 6)),
        (RESPONSES, responses(*[item()] * 6)),
    ):
        error = refusal(call, path, body)
        assert "maximum context length is 40 tokens" in error["message"]
        assert error["param"] == ("input" if path == RESPONSES else "messages")
    assert engine.streams == []


def test_old_items_are_left_out_with_their_images(call, engine):
    engine.model = replace(MODEL_OF_IMAGES, max_model_len=60)
    old = {"role": "user", "content": [item(RED)] * 4}
    new = {"role": "user", "content": [item(BLUE)]}
    body = {"input": [old, new], "truncation": "auto", "max_output_tokens": 8}
    ask(call, RESPONSES, body)
    assert sent(engine) == prompt("user: ", BLUE, "\nassistant: ")
    broken = {"role": "user", "content": [item(RED), item(b"broken")]}
    error = refusal(call, RESPONSES, {**body, "input": [old, broken, new]})
    assert error["param"] == "input[1].content[1].image_url"


def test_an_answer_that_is_gone_on_with_may_follow_an_image(call, engine):
    turns = [*chat(part())["messages"], {"role": "assistant", "content": "It is"}]
    ask(call, CHAT, {"messages": turns, "continue_final_message": True})
    assert sent(engine) == prompt("user: ", RED, "\nassistant: It is")

    turns[-1] = {"role": "user", "content": [part(), text("a")]}
    ask(call, CHAT, {"messages": turns, "continue_final_message": True})
    assert sent(engine) == prompt("user: ", RED, "\nuser: ", RED, "a")


NO_BASE64 = "data:image/png;base64,####"
WRONG = [
    ({"url": NO_BASE64}, "is not base64"),
    ({"url": "data:image/png;base64,aGk="}, "none of PNG"),
    ({"url": url_of(RED[:60])}, "cannot be read"),
    ({"url": url_of(RED, "image/svg+xml")}, "got image/svg+xml"),
    ({"url": url_of(RED, "")}, "got none"),
    ({"url": f"data:image/png,{in_base64(RED)}"}, "must begin with data:image/TYPE;base64"),
    ({"url": "data:image/png;base64"}, "must begin with data:image/TYPE;base64"),
    ({"url": "https://host/a.png"}, "nothing is fetched"),
    ({"url": "file:///etc/passwd"}, "nothing is fetched"),
    ({"url": in_base64(RED)}, "nothing is fetched"),
    ({"url": url_of(png(40_000, 1))}, "a side"),
]


@pytest.mark.parametrize(("url", "reason"), WRONG, ids=lambda value: str(value)[:40])
def test_an_image_that_is_none_is_refused_by_its_path(call, engine, url, reason):
    error = refusal(call, CHAT, chat(text("a"), {"type": "image_url", "image_url": url}))
    assert error["param"] == "messages[0].content[1].image_url"
    assert reason in error["message"]
    assert error["message"].startswith(error["param"])
    body = {"instructions": "b", **responses({"type": "input_image", "image_url": url["url"]})}
    error = refusal(call, RESPONSES, body)
    assert error["param"] == "input[0].content[0].image_url"
    assert engine.requests == []


ASSISTANT = {"role": "assistant", "content": "hi"}
FIELDS = [
    (CHAT, chat({**part(), "uuid": "a"}), "messages[0].content[0].uuid"),
    (CHAT, chat(part(mood="good")), "messages[0].content[0].image_url.mood"),
    (CHAT, chat(part(detail="huge")), "messages[0].content[0].image_url.detail"),
    (CHAT, chat(part(url=5)), "messages[0].content[0].image_url.url"),
    (CHAT, chat({"type": "image_url"}), "messages[0].content[0].image_url"),
    (CHAT, chat({"type": "image_url", "image_url": {}}), "messages[0].content[0].image_url.url"),
    (CHAT, chat({"type": "image_url", "image_url": 5}), "messages[0].content[0].image_url"),
    (CHAT, chat({"type": "image", "image": "a"}), "messages[0].content[0].type"),
    (CHAT, chat(5), "messages[0].content[0]"),
    (CHAT, chat(part(), prompt_logprobs=1), "prompt_logprobs"),
    (
        CHAT,
        chat(*[part()] * (MAX_IMAGES + 1)),
        f"messages[0].content[{MAX_IMAGES}].image_url",
    ),
    (CHAT, {"messages": [{"role": "system", "content": [part()]}]}, "messages[0].content[0].type"),
    (CHAT, {"messages": [{**ASSISTANT, "content": [part()]}]}, "messages[0].content[0].type"),
    (MESSAGES, messages({"type": "image"}), "messages[0].content[0].source"),
    (MESSAGES, messages({"type": "image", "source": {"type": "url", "url": "https://host/a"}}),
     "messages[0].content[0].source.type"),
    (MESSAGES, messages({"type": "image", "source": {"type": "file", "file_id": "a"}}),
     "messages[0].content[0].source.type"),
    (MESSAGES, messages(block(media_type="image/tiff")), "messages[0].content[0].source"),
    (MESSAGES, messages(block(b"broken")), "messages[0].content[0].source"),
    (MESSAGES, messages({"type": "tool_result", "tool_use_id": "a", "content": [block(b"")]}),
     "messages[0].content[0].content[0].source"),
    (MESSAGES, {**messages(), "messages": [{"role": "assistant", "content": [block()]}]},
     "messages[0].content[0].type"),
    (MESSAGES, messages(text("a"), system=[block()]), "system[0].text"),
    (COUNT, chat(block(b"broken")), "messages[0].content[0].source"),
    (RESPONSES, responses(item(file_id="file-1")), "input[0].content[0].file_id"),
    (RESPONSES, responses({"type": "input_image", "file_id": "a"}), "input[0].content[0].file_id"),
    (RESPONSES, responses({"type": "input_image"}), "input[0].content[0].image_url"),
    (RESPONSES, responses(item(detail="huge")), "input[0].content[0].detail"),
    (RESPONSES, {"input": [{"role": "assistant", "content": [item()]}]},
     "input[0].content[0].type"),
    (RESPONSES, {"input": [{"type": "reasoning", "content": [item()]}]},
     "input[0].content[0].type"),
    ("/tokenize", chat(part(b"broken")), "messages[0].content[0].image_url"),
    ("/apply-template", chat(part(b"broken")), "messages[0].content[0].image_url"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "body", "param"), FIELDS, ids=lambda value: str(value)[:60])
def test_wrong_fields_of_images_are_refused_by_their_path(call, engine, path, body, param):
    assert refusal(call, path, body)["param"] == param
    assert engine.requests == []


def test_the_model_is_listed_with_the_kinds_of_its_inputs(call, serve, engine):
    told = ["text", "image"]
    assert call("GET", "/v1/models").json()["data"][0]["input_modalities"] == told
    client = openai.OpenAI(base_url=f"{serve()}/v1", api_key="-")
    assert client.models.list().data[0].to_dict()["input_modalities"] == told
    engine.model = MODEL
    assert call("GET", "/v1/models").json()["data"][0]["input_modalities"] == ["text"]


def test_a_model_of_texts_refuses_images_by_their_path(call, engine):
    engine.model = MODEL
    for path, body, param in (
        (CHAT, chat(text("a"), part()), "messages[0].content[1].image_url"),
        (MESSAGES, messages(text("a"), block()), "messages[0].content[1].source"),
        (RESPONSES, responses(item()), "input[0].content[0].image_url"),
        ("/tokenize", chat(part()), "messages[0].content[0].image_url"),
    ):
        error = refusal(call, path, body)
        assert error["param"] == param
        assert "this model takes no images" in error["message"]


def test_a_template_without_a_place_for_an_image_refuses_it(call, engine):
    engine.tokenizer = image_tokenizer(TEXT_ONLY)
    error = refusal(call, CHAT, chat(text("a"), part()))
    assert error["param"] == "messages"
    assert "a place for 0 images, 1 were sent" in error["message"]


def test_the_client_of_openai_sends_images(serve, engine):
    client = openai.OpenAI(base_url=f"{serve()}/v1", api_key="none")
    answered = client.chat.completions.create(model=engine.model.name, **chat(part(detail="auto")))
    assert answered.choices[0].message.content == ANSWER
    expected = prompt("user: ", RED, "\nassistant: ")
    assert sent(engine) == expected
    body = responses(item(detail="auto"))
    assert client.responses.create(model=engine.model.name, **body).output_text == ANSWER
    assert sent(engine) == expected


def test_equal_images_are_decoded_once(call, engine):
    ask(call, CHAT, chat(part(), part(), part(BLUE)))
    images = sent(engine)[1]
    assert images[0].pixels is images[1].pixels


def test_the_schemas_have_images_of_users(call):
    schema = call("GET", "/openapi.json").json()
    ref = {"$ref": "#/components/schemas/ChatBody", "components": schema["components"]}
    of_chats = jsonschema.Draft202012Validator(ref)
    url = {"type": "image_url", "image_url": url_of(RED)}
    for body in (chat(part()), chat(part(detail="low")), chat(text("a"), url)):
        of_chats.validate(body)
    of_user = chat(part())["messages"][0]
    assert not of_chats.is_valid({"messages": [{**of_user, "role": "system"}]})
    for wrong in ({"url": "https://host/a.png"}, {"url": url_of(RED), "detail": "a"}, {}, 5):
        assert not of_chats.is_valid(chat({"type": "image_url", "image_url": wrong}))
    of_messages = jsonschema.Draft202012Validator(MessagesBody.model_json_schema())
    result = {"type": "tool_result", "tool_use_id": "a", "content": [block()]}
    for body in (messages(block()), messages(text("a"), result)):
        of_messages.validate(body)
    assert not of_messages.is_valid(messages({"type": "image"}))
    assert not of_messages.is_valid(messages({"type": "image", "source": {"type": "url"}}))


def test_no_log_has_an_image(call, engine, caplog):
    caplog.set_level("DEBUG")
    ask(call, CHAT, chat(part()))
    refusal(call, CHAT, chat(part(), part(b"broken" * 1000)))
    refusal(call, CHAT, chat({"type": "image_url", "image_url": {"uri": "A" * 10_000}}))
    refusal(call, CHAT, chat(part(url="A" * 10_000)))
    assert all(len(record.getMessage()) < 500 for record in caplog.records)
    assert repr(pixels(RED).data) not in repr(engine.requests[0])
