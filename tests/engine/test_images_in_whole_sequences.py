"""Images where every position sees all others, so that each step has rows of the whole prompt.

The vectors of an image are embeddings of tokens, so an answer is that of a prompt with these.
"""

from dataclasses import replace
from typing import Any

import pytest
from torch import Tensor

from tests.support.engines import make_engine, run_all
from tests.support.golden import load_golden
from unmask.image_fits import Cells, Size
from unmask.images import ImageTraits, Pixels, place_images
from unmask.models.decoder import Decoder
from unmask.models.registry import LoadedModel
from unmask.types import Request, SamplingParams

PLACEHOLDER, LENGTH = 250, 16
TRAITS = ImageTraits(PLACEHOLDER, (), (), Cells(1, 60), sees_itself=False)
PICTURES = {"large": range(40, 80), "small": range(90, 93), "other": range(130, 147)}
# Pictures of a prompt, between which there are three tokens.
PROMPTS: dict[str, tuple[int, tuple[str, ...]]] = {
    "large": (9, ("large",)),
    "two": (3, ("small", "other")),
    "twice": (5, ("small", "small")),
    "text": (30, ()),
}
THRESHOLD: dict[str, Any] = {"policy": "threshold", "threshold": 0.3}
SETTINGS: dict[str, dict[str, Any]] = {
    "plain": {},
    "guided": {"cfg_scale": 0.7},
    "prefix": {"cache": "prefix"},
    "dual": {"cache": "dual"},
    "prefix by threshold": {"cache": "prefix", **THRESHOLD},
    "several": {"open_blocks": 2, "block_length": 4, **THRESHOLD},
    "delayed": {"open_blocks": 2, "block_length": 4, "cache": "delayed", **THRESHOLD},
    "drawn": {"temperature": 0.8, "seed": 3},
}


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    loaded = load_golden("llada", tmp_path_factory.mktemp("llada"))
    model = loaded.model
    assert isinstance(model, Decoder)

    def encode(pixels: Tensor, _source: Size) -> Tensor:
        return model.embedding[pixels[0, :, 0].long()]

    model.vision = encode
    return replace(loaded, info=replace(loaded.info, images=TRAITS))


def picture(name: str) -> Pixels:
    """Pixels in a line, the reds of which are tokens."""
    ids = PICTURES[name]
    data = b"".join(bytes((token_id, 0, 0)) for token_id in ids)
    return Pixels(data, 1, len(ids), name.encode().ljust(16), len(ids), (1, len(ids)))


def requests(settings: dict[str, Any]) -> list[Request]:
    asked = list[Request]()
    sampling = SamplingParams(max_tokens=LENGTH, ignore_eos=True, **{"block_length": 8, **settings})
    for name, (num_before, pictures) in PROMPTS.items():
        ids = list(range(20, 20 + num_before))
        for _ in pictures:
            ids += [PLACEHOLDER, 30, 31, 32]
        prompt, images = place_images(ids, [picture(one) for one in pictures], TRAITS)
        asked.append(Request(name, prompt, sampling, images=images))
    return asked


def in_tokens(request: Request) -> Request:
    """The same prompt with the tokens that its pictures are."""
    ids = list(request.prompt_token_ids)
    for image in request.images:
        ids[image.start : image.end] = image.pixels.data[::3]
    return replace(request, prompt_token_ids=tuple(ids), images=())


@pytest.mark.usual_cases(6)
@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
@pytest.mark.parametrize("changes", [{}, {"overlap": True, "steps_ahead": 2}], ids=str)
def test_answers_are_those_of_the_tokens_that_images_are(
    loaded: LoadedModel, settings: dict[str, Any], changes: dict[str, Any]
) -> None:
    asked = requests(settings)
    alone = {
        request.request_id: run_all(make_engine(loaded), [request])[request.request_id].token_ids
        for request in map(in_tokens, asked)
    }
    assert len(set(map(tuple, alone.values()))) == len(asked)
    answers = run_all(make_engine(loaded, **changes), asked)
    assert {name: answer.token_ids for name, answer in answers.items()} == alone


def test_an_image_is_encoded_once_for_all_steps_and_prompts(loaded: LoadedModel) -> None:
    model, calls = loaded.model, list[int]()
    assert model.vision is not None
    encode = model.vision

    def counted(pixels: Tensor, source: Size) -> Tensor:
        calls.append(len(pixels))
        return encode(pixels, source)

    model.vision = counted
    try:
        engine = make_engine(loaded)
        expected = run_all(make_engine(loaded), [in_tokens(one) for one in requests({})])
        answers = run_all(engine, requests({}))
    finally:
        model.vision = encode
    assert {n: a.token_ids for n, a in answers.items()} == {
        n: a.token_ids for n, a in expected.items()
    }
    assert len(calls) == len(PICTURES)
