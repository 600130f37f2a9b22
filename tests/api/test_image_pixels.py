"""Numbers of pixels that a request asks for beside an image, as Qwen's messages do."""

from dataclasses import replace

import pytest

from tests.api.fake_client import FakeClient
from tests.support.pictures import (
    MODEL_OF_IMAGES,
    TRAITS,
    image_tokenizer,
    png,
    url_of,
)
from unmask.errors import InvalidRequest
from unmask.image_files import read_image
from unmask.image_fits import MOST_PIXELS, Units
from unmask.prompts import encode_chat

UNITS = Units(10, 400, 6400)
OF_UNITS = replace(TRAITS, fit=UNITS)
FILE = png(100, 60)
CHAT, TOKENIZE = "/v1/chat/completions", "/tokenize"


@pytest.fixture
def engine():
    model = replace(MODEL_OF_IMAGES, images=OF_UNITS)
    return FakeClient(model=model, tokenizer=image_tokenizer())


def part(**limits):
    return {"type": "image_url", "image_url": {"url": url_of(FILE)}, **limits}


def chat(*parts):
    return {"messages": [{"role": "user", "content": list(parts)}]}


CASES = [
    ({}, 60),
    ({"min_pixels": None, "max_pixels": None}, 60),
    ({"max_pixels": 1600}, 15),
    ({"min_pixels": 20_000, "max_pixels": MOST_PIXELS}, 11 * 19),
    ({"min_pixels": 401.0}, 60),
]


@pytest.mark.parametrize(("limits", "num_rows"), CASES, ids=str)
def test_an_image_has_the_pixels_that_a_request_asks_for(call, engine, limits, num_rows):
    response = call("POST", CHAT, json=chat(part(**limits)))
    assert response.status_code == 200, response.text
    [image] = engine.requests[-1].images
    assert image.end - image.start == num_rows
    told = response.json()["usage"]["prompt_tokens_details"]["image_tokens"]
    assert told == num_rows
    counted = call("POST", TOKENIZE, json=chat(part(**limits))).json()["count"]
    assert counted == len(engine.requests[-1].prompt_token_ids)


def test_each_image_of_a_request_has_its_own(call, engine):
    call("POST", CHAT, json=chat(part(), part(max_pixels=1600), part()))
    rows = [image.end - image.start for image in engine.requests[-1].images]
    assert rows == [60, 15, 60]


def test_conversations_in_the_same_process_have_them_too():
    image = {"type": "image", "image": FILE, "max_pixels": 1600}
    messages = [{"role": "user", "content": [image]}]
    _, [rows] = encode_chat(image_tokenizer(), messages, OF_UNITS)
    assert rows.pixels == read_image(FILE, replace(OF_UNITS, fit=Units(10, 400, 1600)))
    image["max_pixels"] = "many"
    with pytest.raises(InvalidRequest, match="must be whole numbers, got 'many'"):
        encode_chat(image_tokenizer(), messages, OF_UNITS)


@pytest.mark.parametrize("path", [CHAT, TOKENIZE])
def test_images_are_decoded_while_the_context_has_room_for_them(call, engine, path):
    """A short body may ask for many large ones."""
    broken = {"type": "image_url", "image_url": {"url": url_of(b"broken")}}
    large = part(min_pixels=60_000, max_pixels=70_000)
    response = call("POST", path, json=chat(large, large, broken))
    assert response.status_code == 400
    error = response.json()["error"]
    assert (error["code"], error["param"]) == (
        "context_length_exceeded",
        "messages[0].content[1].image_url",
    )
    assert engine.requests == []


@pytest.mark.parametrize(
    "limits",
    [
        {"max_pixels": 399},
        {"min_pixels": 6401},
        {"min_pixels": 0},
        {"min_pixels": 9, "max_pixels": 8},
        {"max_pixels": MOST_PIXELS + 1},
        {"max_pixels": 10**1000},
    ],
    ids=lambda limits: str(limits)[:40],
)
def test_impossible_numbers_are_refused(call, engine, limits):
    response = call("POST", CHAT, json=chat(part(**limits)))
    assert response.status_code == 400
    error = response.json()["error"]
    assert f"must be from 1 to {MOST_PIXELS}" in error["message"]
    assert len(error["message"]) < 400
    assert error["param"] == "messages[0].content[0].image_url"
    assert engine.requests == []


def test_a_number_is_no_text(call):
    error = call("POST", CHAT, json=chat(part(min_pixels="400"))).json()["error"]
    assert error["param"] == "messages[0].content[0].min_pixels"


def test_a_model_with_a_rule_of_its_own_refuses_them(call, engine):
    engine.model = MODEL_OF_IMAGES
    response = call("POST", CHAT, json=chat(part(max_pixels=1600)))
    assert response.status_code == 400
    assert "min_pixels and max_pixels are not for this model" in response.json()["error"]["message"]


def test_as_many_pixels_as_the_checkpoint_has_are_always_possible():
    large = Units(28, 3136, 2 * MOST_PIXELS)
    assert large.within(None, 2 * MOST_PIXELS) == large
