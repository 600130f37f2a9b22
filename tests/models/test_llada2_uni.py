"""LLaDA2.0-Uni: codes of images are transformers', and answers those of prompts with these."""

import json
import logging
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

pytest.importorskip("transformers.models.glm_image")

from tests.golden.make.images import draw_image
from tests.golden.make.relatives import block_loop
from tests.support.engines import make_engine, run_all, run_alone
from tests.support.golden import company
from tests.support.golden_images import assert_logged, in_file
from tests.support.llada2_uni import (
    BEGIN,
    END,
    NUM_CODES,
    PATCH,
    SIZES_END,
    codes_of,
    load,
    raw_config,
    text_tensors,
    tokenizer_tensors,
    write,
)
from tests.support.moe_reference import llada2
from tests.support.tiny import VOCAB_SIZE
from unmask.errors import InvalidCheckpoint, InvalidRequest
from unmask.image_files import read_image
from unmask.images import Pixels, place_images
from unmask.models.registry import LoadedModel
from unmask.models.vision.image_tokenizer import ImageTokenizer
from unmask.prompts import encode_chat
from unmask.types import Request, SamplingParams

SIZES = ((150, 120), (200, 190), (90, 180), (77, 33))
LENGTH = 24
SETTINGS = {"policy": "threshold", "threshold": 0.3, "block_length": 32, "steps_per_block": LENGTH}


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    return load(write(tmp_path_factory.mktemp("uni")))


def images() -> list[Tensor]:
    generator = torch.Generator().manual_seed(2)
    return [draw_image(*size, generator) for size in SIZES]


def pixels_of(loaded: LoadedModel, image: Tensor, num_images: int = 1) -> Pixels:
    assert loaded.info.images is not None
    return read_image(in_file(image), loaded.info.images.of_number(num_images))


def as_tensor(pixels: Pixels) -> Tensor:
    data = torch.frombuffer(bytearray(pixels.data), dtype=torch.uint8)
    return data.view(pixels.height, pixels.width, 3)


def tokenizer_of(loaded: LoadedModel) -> ImageTokenizer:
    assert isinstance(loaded.model.vision, ImageTokenizer)
    return loaded.model.vision


@pytest.mark.parametrize("image", images(), ids=lambda image: str(tuple(image.shape)))
def test_codes_are_those_of_the_reference(loaded: LoadedModel, image: Tensor) -> None:
    """Positions lie between those of the square: images are longer than it, and flatter."""
    pixels = as_tensor(pixels_of(loaded, image))
    codes = tokenizer_of(loaded).encode(pixels).tolist()
    assert codes == codes_of(pixels)
    assert len(set(codes)) > 10
    rows = tokenizer_of(loaded)(pixels, (1, 1))
    embeddings = text_tensors()["model.word_embeddings.weight"]
    assert torch.equal(rows, embeddings[torch.tensor(codes) + VOCAB_SIZE])


def test_codes_in_bfloat16_are_mostly_the_same(tmp_path: Path, loaded: LoadedModel) -> None:
    tokenizer = tokenizer_of(load(write(tmp_path), dtype="bfloat16"))
    pixels = as_tensor(pixels_of(loaded, images()[1]))
    same = (tokenizer.encode(pixels) == tokenizer_of(loaded).encode(pixels)).float().mean()
    assert same > 0.9


def asked(loaded: LoadedModel, *which: int, name: str = "a", **sampling: Any) -> Request:
    """Text around images."""
    assert loaded.info.images is not None
    ids = list(range(30, 37))
    for index in which:
        ids += [BEGIN, 40 + index]
    shown = [pixels_of(loaded, images()[index], len(which)) for index in which]
    prompt, placed = place_images(ids, shown, loaded.info.images)
    values = {"max_tokens": LENGTH, "ignore_eos": True, "policy": "threshold", "threshold": 0.3}
    return Request(name, prompt, SamplingParams(**(values | sampling)), images=placed)


class Reference:
    """The second implementation of LLaDA2 on ids, those of images too; it answers with text."""

    forwards = 0

    def logits(self, ids: list[int] | Tensor) -> Tensor:
        logits = llada2(raw_config(), text_tensors(), torch.as_tensor(ids))
        return logits[:, :VOCAB_SIZE].float()


def with_codes(request: Request) -> list[int]:
    """The prompt with the ids of its images' codes."""
    ids = list(request.prompt_token_ids)
    for image in request.images:
        codes = codes_of(as_tensor(image.pixels))
        ids[image.start : image.end] = [VOCAB_SIZE + code for code in codes]
    return ids


@pytest.mark.usual_cases(1)
@pytest.mark.parametrize("which", [(3,), (0,), (3, 2)], ids=str)
def test_answers_are_those_to_the_tokens_of_images(
    loaded: LoadedModel, which: tuple[int, ...]
) -> None:
    request = asked(loaded, *which)
    settings = SETTINGS | {"gen_length": LENGTH}
    reference: Any = Reference()
    expected = block_loop(reference, with_codes(request), settings)
    assert run_alone(loaded, request).token_ids == expected


def test_an_image_is_between_its_size_and_an_end(loaded: LoadedModel) -> None:
    request = asked(loaded, 0)
    [image] = request.images
    before = request.prompt_token_ids[image.start - 4 : image.start]
    number = loaded.tokenizer.added_token_id
    rows, columns = image.pixels.height // PATCH, image.pixels.width // PATCH
    assert before == (
        BEGIN,
        number(f"<|reserved_token_{rows}|>"),
        number(f"<|reserved_token_{columns}|>"),
        SIZES_END,
    )
    assert request.prompt_token_ids[image.end] == END
    assert image.end - image.start == rows * columns


@pytest.mark.usual_cases(1)
@pytest.mark.parametrize(
    "changes", [{}, {"overlap": True, "max_batch_tokens": 64}, {"num_pages": 40}], ids=str
)
def test_company_and_chunks_change_nothing(loaded: LoadedModel, changes: dict[str, Any]) -> None:
    requests = [
        asked(loaded, 0, name="one"),
        asked(loaded, 1, 2, name="two", temperature=0.8, seed=4),
        asked(loaded, 0, name="again"),
    ]
    together = run_all(make_engine(loaded, **changes), [*requests, *company(loaded, 2, seed=5)])
    for request in requests:
        alone = run_alone(loaded, request)
        assert together[request.request_id].essence == alone.essence


def test_pages_are_shared_by_like_images_only(loaded: LoadedModel) -> None:
    engine = make_engine(loaded)
    used = list[int]()
    for index in (0, 1, 0):
        finish = run_all(engine, [asked(loaded, index)])["a"].finish
        assert finish is not None
        used.append(finish.usage.cached_tokens)
    assert used[:2] == [0, 0]
    assert used[2] == 64


def test_answers_have_no_tokens_of_images(tmp_path: Path) -> None:
    """The LM head would choose them."""
    folder = write(tmp_path)
    tensors = load_file(folder / "model.safetensors")
    tensors["lm_head.weight"][VOCAB_SIZE:] = 100 * tensors["lm_head.weight"][:NUM_CODES]
    shutil.rmtree(folder / "image_tokenizer")
    save_file(tensors, folder / "model.safetensors")
    loaded = load(folder)
    request = Request("a", tuple(range(20, 29)), SamplingParams(max_tokens=40, ignore_eos=True))
    assert max(run_alone(loaded, request).token_ids) < VOCAB_SIZE


def test_images_of_a_turn_are_before_its_text(loaded: LoadedModel) -> None:
    text = {"type": "text", "text": "What is <|image|> this?"}
    parts = [text, {"type": "image", "image": in_file(images()[0])}]
    messages = [{"role": "user", "content": parts}]
    ids, [image] = encode_chat(loaded.tokenizer, messages, loaded.info.images)
    shown = loaded.tokenizer.decode(
        [*ids[: image.start], *ids[image.end :]], skip_special_tokens=False
    )
    rows, columns = image.pixels.height // PATCH, image.pixels.width // PATCH
    assert shown == (
        "<role>SYSTEM</role> You are a multimodal understanding assistant. <role>HUMAN</role>"
        f"<|image|><|reserved_token_{rows}|><|reserved_token_{columns}|><boi><|/image|>"
        "What is <|image|> this?<role>ASSISTANT</role>"
    )
    assert ids.count(BEGIN) == 1 + image.end - image.start  # the user's is text


@pytest.mark.parametrize("token", ["<|image|>", "<boi>", "<|/image|>", "<|reserved_token_5|>"])
def test_tokens_of_images_are_text_where_a_message_spells_them(
    loaded: LoadedModel, token: str
) -> None:
    """The tokenizer does not call them special, so that nothing but the model tells."""
    ids = loaded.tokenizer.apply_chat([{"role": "user", "content": f"a{token}b"}])
    assert loaded.tokenizer.added_token_id(token) not in ids
    assert f"a{token}b" in loaded.tokenizer.decode(ids)


def test_a_conversation_is_written_as_the_authors_write_it(loaded: LoadedModel) -> None:
    messages = [
        {"role": "system", "content": "Be short."},
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Hi."},
        {"role": "user", "content": "Bye"},
    ]
    decode = partial(loaded.tokenizer.decode, skip_special_tokens=False)
    assert decode(loaded.tokenizer.apply_chat(messages)) == (
        "<role>SYSTEM</role> Be short. <role>HUMAN</role>Hello<role>ASSISTANT</role>Hi."
        "<role>HUMAN</role>Bye<role>ASSISTANT</role>"
    )
    with pytest.raises(InvalidRequest, match="roles are user and assistant"):
        loaded.tokenizer.apply_chat([*messages, {"role": "tool", "content": "3"}])


def test_each_of_several_images_has_fewer_rows(loaded: LoadedModel) -> None:
    assert loaded.info.images is not None
    image = draw_image(500, 470, torch.Generator().manual_seed(1))
    parts = [{"type": "image", "image": in_file(image)}]
    one, two = (
        encode_chat(
            loaded.tokenizer,
            [{"role": "user", "content": [*parts * count, {"type": "text", "text": "?"}]}],
            loaded.info.images,
        )[1][0].pixels
        for count in (1, 2)
    )
    assert one.num_rows == 32 * 30
    assert two.num_rows == 28 * 26


def test_without_its_folder_a_checkpoint_serves_text_alone(tmp_path: Path) -> None:
    folder = write(tmp_path)
    shutil.rmtree(folder / "image_tokenizer")
    loaded = load(folder)
    assert loaded.info.images is None
    assert loaded.model.vision is None
    assert loaded.info.vocab_size == VOCAB_SIZE


def changed_tensors(**changes: Tensor | None) -> dict[str, Tensor]:
    tensors: dict[str, Tensor | None] = {**tokenizer_tensors(), **changes}
    return {name: tensor for name, tensor in tensors.items() if tensor is not None}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"vision": {"hidden_act": "silu"}}, 'hidden_act: "silu"'),
        ({"vision": {"rope_theta": 3}}, "rope_theta: 3"),
        ({"vision": {"num_heads": 5}}, "hidden_size 24 is no multiple of num_heads"),
        ({"vision": {"hidden_size": 32}}, "latent_channels is not vision_config.hidden_size 32"),
        (
            {"vision": {"depth": 0}},
            r"image_tokenizer/config\.json: vision_config\.depth must be a whole number",
        ),
        (
            {"processor": {"image_mean": [0.4] * 3}},
            r"image_tokenizer/pre.*: image_mean must be \[0.5",
        ),
        ({"processor": {"patch_size": 14}}, "patch_size must be 16, got 14"),
        ({"processor": {"temporal_patch_size": 2}}, "temporal_patch_size: 2"),
        ({"raw": raw_config(vocab_size=VOCAB_SIZE + 10)}, "48 tokens of images .* are more than"),
        (
            {"tensors": changed_tensors(**{"model.visual.blocks.1.norm1.bias": None})},
            "there is no model.visual.blocks.1.norm1.bias",
        ),
        (
            {"tensors": changed_tensors(**{"model.visual.merger": torch.zeros(2)})},
            "unexpected model.visual.merger",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_not_supported_is_logged_and_text_is_served(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, changes: dict[str, Any], reason: str
) -> None:
    folder = write(tmp_path, **changes)
    if "raw" in changes:
        tensors = text_tensors()
        size = changes["raw"]["vocab_size"]
        for name in ("model.word_embeddings.weight", "lm_head.weight"):
            tensors[name] = tensors[name][:size].contiguous()
        save_file(tensors, folder / "model.safetensors")
    with caplog.at_level(logging.WARNING):
        loaded = load(folder)
    assert loaded.info.images is None
    assert_logged(caplog, reason)


def test_a_processor_as_transformers_writes_it_is_taken(tmp_path: Path) -> None:
    """It has GLM-Image's own resize, which the authors of LLaDA2.0-Uni never do."""
    size = {"longest_edge": 4194304, "shortest_edge": 262144}
    processor = {"do_resize": True, "size": size, "data_format": "channels_first"}
    assert load(write(tmp_path, processor=processor)).info.images is not None


def test_tensors_of_other_networks_are_not_read(tmp_path: Path) -> None:
    text = {"model.language_model.norm.weight": torch.ones(3), "lm_head.weight": torch.ones(3)}
    loaded = load(write(tmp_path, tensors=tokenizer_tensors() | text))
    assert loaded.model.vision is not None


def test_without_its_weights_a_checkpoint_serves_text_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = write(tmp_path)
    (folder / "image_tokenizer" / "image_tokenizer.safetensors").unlink()
    with caplog.at_level(logging.WARNING):
        loaded = load(folder)
    assert loaded.info.images is None
    assert any("the image tokenizer is not read: " in message for message in caplog.messages)


def test_experts_in_eight_bits_by_their_own_code_are_refused(tmp_path: Path) -> None:
    """The authors' class writes the field of any checkpoint."""
    loaded = load(write(tmp_path, raw=raw_config(use_fp8_experts=False)))
    assert loaded.info.images is not None
    (tmp_path / "config.json").write_text(json.dumps(raw_config(use_fp8_experts=True)))
    with pytest.raises(InvalidCheckpoint, match=r"use_fp8_experts: true \(experts in FP8"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("offset", "reason"),
    [
        (0.5, "must be a whole number"),
        (0, "must be a whole number"),
        (VOCAB_SIZE + NUM_CODES + 1, f"{VOCAB_SIZE + NUM_CODES + 1} is above vocab_size"),
    ],
)
def test_an_offset_outside_the_vocabulary_is_refused(
    tmp_path: Path, offset: float, reason: str
) -> None:
    with pytest.raises(InvalidCheckpoint, match=f"image_token_offset {reason}"):
        load(write(tmp_path, raw=raw_config(image_token_offset=offset)))


def test_a_template_that_the_server_names_takes_the_place_of_the_authors(tmp_path: Path) -> None:
    template = "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}{% endfor %}"
    tokenizer = load(write(tmp_path), chat_template=template).tokenizer
    ids = tokenizer.apply_chat([{"role": "user", "content": "Hi"}])
    assert tokenizer.decode(ids) == "user: Hi"
