"""Images in prompts: an answer depends on them, and on nothing but the request."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

pytest.importorskip("transformers.models.diffusion_gemma")

from tests.support.canvas_loop import Job, PhiloxDraws, run
from tests.support.canvases import Forward, Image
from tests.support.engines import Answer, make_engine, run_all, run_alone
from tests.support.noise import SCHEDULE, WIDTH, load_noise
from tests.support.tiny import VOCAB_SIZE
from unmask.errors import InvalidRequest
from unmask.image_fits import Cells, Size
from unmask.images import ImageTraits, Pixels, place_images
from unmask.models.canvas_decoder import CanvasDecoder
from unmask.models.registry import LoadedModel
from unmask.types import Request, SamplingParams

CELL, HIDDEN = 4, 64
TRAITS = ImageTraits(
    token_id=250, before=(251,), behind=(252,), fit=Cells(CELL, 60), sees_itself=True
)


def encode(pixels: Tensor, source: Size) -> Tensor:
    """Stands in for a vision tower: a row of each cell, [N, C]."""
    cells = pixels.unfold(0, CELL, CELL).unfold(1, CELL, CELL).flatten(0, 1).flatten(1).float()
    generator = torch.Generator().manual_seed(5)
    weights = torch.randn(cells.shape[1], HIDDEN, generator=generator)
    return torch.tanh((cells / 128 - 1) @ weights / 8)


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    loaded = load_noise(tmp_path_factory.mktemp("dgemma"))
    assert isinstance(loaded.model, CanvasDecoder)
    loaded.model.vision = encode
    return replace(loaded, info=replace(loaded.info, images=TRAITS))


def picture(rows: int, columns: int, seed: int) -> Pixels:
    height, width = rows * CELL, columns * CELL
    data = np.random.default_rng(seed).integers(0, 256, height * width * 3, np.uint8).tobytes()
    return Pixels(data, height, width, bytes([seed]) * 16, rows * columns, (height, width))


def request(
    name: str, num_before: int, *pictures: Pixels, sees_itself: bool = True, max_tokens: int = 24
) -> Request:
    """Text, pictures with three tokens between them, and text."""
    ids = list(range(20, 20 + num_before))
    for _ in pictures:
        ids += [TRAITS.token_id, 30, 31, 32]
    placed, images = place_images(ids, pictures, replace(TRAITS, sees_itself=sees_itself))
    sampling = SamplingParams(max_tokens=max_tokens, seed=len(name), ignore_eos=True)
    return Request(name, placed, sampling, images=images)


def requests() -> list[Request]:
    """A picture that is longer than the sliding window of 24, small ones, and only text."""
    large, small, other = picture(6, 8, 1), picture(1, 3, 2), picture(3, 5, 3)
    return [
        request("large", 9, large),
        request("two", 3, small, other),
        request("first", 0, other),
        request("text", 40),
        request("later", 70, large, small),
    ]


@pytest.fixture(scope="module")
def alone(loaded: LoadedModel) -> dict[str, Answer]:
    return {asked.request_id: run_alone(loaded, asked) for asked in requests()}


def answer_of_loop(loaded: LoadedModel, asked: Request) -> list[int]:
    """Tokens of the plain loop, which encodes the whole prompt at once."""
    assert isinstance(loaded.model, CanvasDecoder)
    assert asked.sampling.seed is not None
    images = tuple(
        Image(
            image.start,
            image.end,
            encode(
                torch.frombuffer(bytearray(image.pixels.data), dtype=torch.uint8).view(
                    image.pixels.height, image.pixels.width, 3
                ),
                image.pixels.source,
            ),
        )
        for image in asked.images
    )
    job = Job(
        torch.tensor(asked.prompt_token_ids),
        PhiloxDraws(asked.sampling.seed, WIDTH, VOCAB_SIZE),
        SCHEDULE,
        num_canvases=2,
        images=images,
    )
    run(Forward(loaded.model), [job], WIDTH)
    start = len(asked.prompt_token_ids)
    return job.tokens[start : start + 24].tolist()


def test_the_engine_gets_the_tokens_of_the_plain_loop(
    loaded: LoadedModel, alone: dict[str, Answer]
) -> None:
    for asked in requests():
        assert alone[asked.request_id].token_ids == answer_of_loop(loaded, asked)


@pytest.mark.parametrize(
    "changes",
    [
        {"max_batch_tokens": 48},
        {"page_size": 32, "prefix_cache": False},
        {"num_pages": 24},
        {"overlap_rows": 4096},
    ],
    ids=str,
)
def test_company_chunks_pages_and_preemption_change_nothing(
    loaded: LoadedModel, alone: dict[str, Answer], changes: dict[str, object]
) -> None:
    """48 rows of the largest picture are in one step, even one of 48 tokens."""
    engine = make_engine(loaded, **changes)
    together = run_all(engine, requests())
    assert {name: answer.essence for name, answer in together.items()} == {
        name: answer.essence for name, answer in alone.items()
    }
    assert (engine.scheduler.num_preempted > 0) == ("num_pages" in changes)


def test_pages_are_shared_by_like_pictures_only(loaded: LoadedModel) -> None:
    """A page of 16 ends within a picture, whose rows all have the same token."""
    one, other = picture(6, 8, 1), picture(6, 8, 7)
    engine = make_engine(loaded)
    first = run_all(engine, [request("a", 9, one)])["a"]
    again = run_all(engine, [request("a", 9, one)])["a"]
    assert again.finish is not None
    assert again.finish.usage.cached_tokens == 48
    assert again.token_ids == first.token_ids
    different = run_all(engine, [request("a", 9, other)])["a"]
    assert different.finish is not None
    assert different.finish.usage.cached_tokens == 0  # even of the page that begins with text
    assert different.token_ids == run_alone(loaded, request("a", 9, other)).token_ids
    assert different.token_ids != first.token_ids


def test_rows_may_see_only_those_before_them(loaded: LoadedModel) -> None:
    image = picture(3, 5, 3)
    causal = request("a", 5, image, sees_itself=False)
    engine = make_engine(loaded, max_batch_tokens=20)  # a chunk ends within the picture
    assert run_all(engine, [causal])["a"].essence == run_alone(loaded, causal).essence
    assert (
        run_alone(loaded, causal).token_ids != run_alone(loaded, request("a", 5, image)).token_ids
    )


def test_a_model_without_eyes_and_a_step_without_room_are_told(loaded: LoadedModel) -> None:
    asked = request("a", 5, picture(6, 8, 1), max_tokens=2)
    blind = replace(loaded, info=replace(loaded.info, images=None))
    with pytest.raises(InvalidRequest, match="takes no images"):
        make_engine(blind).check(asked)
    with pytest.raises(InvalidRequest, match=r"an image takes 48 tokens.* holds 40"):
        make_engine(loaded, max_batch_tokens=40).check(asked)
    with pytest.raises(InvalidRequest, match="a prompt with images cannot be read"):
        make_engine(loaded).check(replace(asked, given_answer=(1, 2)))
