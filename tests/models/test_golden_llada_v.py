"""LLaDA-V's rows of images and answers are those of the reference, whatever else a step has."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.support.engines import make_engine, run_all, run_alone
from tests.support.golden_images import ImageCase, recorded_pixels
from tests.support.image_answers import assert_golden_in_company, finish_alone
from tests.support.image_rows import rows_of
from tests.support.llada_v import BANNED, END, MODEL, PLACEHOLDER, TILES, TRAITS
from unmask.errors import InvalidCheckpoint, InvalidRequest
from unmask.image_fits import Tiles
from unmask.models.llada_v import SYSTEM
from unmask.models.registry import LoadedModel, family_of
from unmask.models.vision.llava_config import SIZES, read_llava_sizes
from unmask.prompts import encode_chat
from unmask.types import RefinementOptions, Request, SamplingParams

CASES = MODEL.cases()
INNER = "model.vision_tower.vision_tower.vision_model."


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    return MODEL.load(MODEL.write(tmp_path_factory.mktemp("llada_v"), MODEL.raw_config()))


@pytest.mark.parametrize(("kind", "number"), [("tiles", 1), ("square", 2)])
def test_pixels_and_rows_of_images_are_those_of_the_reference(
    loaded: LoadedModel, kind: str, number: int
) -> None:
    """Alone an image is tiles, and one of several is a square."""
    recorded = MODEL.recorded()
    for index, pixels in enumerate(recorded_pixels(MODEL.folder, TRAITS.of_number(number))):
        expected = recorded[f"{kind}.{index}"]
        assert pixels.data == recorded[f"{kind}.{index}.pixels"].numpy().tobytes()
        assert pixels.num_rows == len(expected)
        rows = rows_of(loaded, pixels)
        assert (rows - expected).abs().max() < 1e-4 * expected.abs().max()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_request_alone_gets_the_tokens_of_the_reference_in_as_many_steps(
    loaded: LoadedModel, case: ImageCase
) -> None:
    finish = finish_alone(loaded, case)
    assert (finish.reason, case.tokens[-1]) == ("stop", END)
    assert finish.usage.denoising_steps == case.forwards


@pytest.mark.parametrize(
    "changes",
    [{}, {"overlap": True, "steps_ahead": 2}, {"max_batch_tokens": 256}, {"speculation_rows": 64}],
    ids=str,
)
def test_company_and_overlap_change_nothing(loaded: LoadedModel, changes: dict[str, Any]) -> None:
    assert_golden_in_company(loaded, CASES, changes)


@pytest.mark.usual_cases(1)
@pytest.mark.parametrize("cache", ["prefix", "dual", "delayed"])
def test_with_kept_keys_answers_do_not_depend_on_company(loaded: LoadedModel, cache: str) -> None:
    changes: dict[str, Any] = {"cache": cache}
    if cache == "delayed":
        changes |= {"open_blocks": 2, "block_length": 8, "policy": "threshold", "threshold": 0.4}
    asked = [
        replace(case.request, sampling=replace(case.request.sampling, **changes))
        for case in CASES
        if not case.request.sampling.cfg_scale
    ]
    alone = {request.request_id: run_alone(loaded, request).token_ids for request in asked}
    answers = run_all(make_engine(loaded), asked)
    assert {name: answers[name].token_ids for name in alone} == alone


def test_refinements_end_where_the_answer_does(loaded: LoadedModel) -> None:
    case = CASES[0]
    options = RefinementOptions(every=1, tokens=True)
    answer = run_alone(loaded, replace(case.request, refinements=options))
    assert answer.token_ids == case.tokens
    spans = [refinement.span[1] for refinement in answer.refinements]
    assert spans[0] == case.request.sampling.max_tokens
    assert spans[0] > spans[-1] >= len(case.tokens)  # an end may be before a known one
    assert spans == sorted(spans, reverse=True)
    for refinement in answer.refinements:
        assert refinement.tokens is not None
        assert len(refinement.tokens) == refinement.span[1] - refinement.span[0]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_refinements_have_nothing_behind_a_known_end(loaded: LoadedModel, case: ImageCase) -> None:
    """Neither the masks that stay there nor tokens that were filled before the end."""
    options = RefinementOptions(every=1, tokens=True)
    answer = run_alone(loaded, replace(case.request, refinements=options))
    assert answer.token_ids == case.tokens
    for refinement in answer.refinements:
        assert refinement.tokens is not None
        known = [token.token_id for token in refinement.tokens if token.resolved]
        assert loaded.info.mask_token_id not in known
        assert END not in known[:-1]
        assert END not in known or refinement.tokens[-1].token_id == END


def test_an_answer_that_goes_on_after_its_end_is_filled(loaded: LoadedModel) -> None:
    case = CASES[0]
    sampling = replace(case.request.sampling, ignore_eos=True)
    answer = run_alone(loaded, replace(case.request, sampling=sampling))
    assert len(answer.token_ids) == sampling.max_tokens
    assert answer.token_ids != case.tokens
    assert not set(BANNED) & set(answer.token_ids)


def test_tokens_of_prompts_are_in_no_answer(loaded: LoadedModel) -> None:
    info = loaded.info
    assert (set(info.banned_ids), set(info.eos_token_ids)) == (set(BANNED), {END, 510})
    request = Request("a", (5, *BANNED, 6), SamplingParams(max_tokens=4, ignore_eos=True))
    assert len(run_alone(loaded, request).token_ids) == 4
    for field, value in (("allowed_token_ids", BANNED), ("allowed_token_ids", (504, 511))):
        sampling = replace(request.sampling, **{field: value})  # type: ignore[arg-type]
        with pytest.raises(InvalidRequest, match="tokens of prompts"):
            run_alone(loaded, replace(request, sampling=sampling))
    biased = replace(request.sampling, logit_bias=((504, 100.0),))
    assert 504 not in run_alone(loaded, replace(request, sampling=biased)).token_ids


@pytest.mark.usual_cases(4)
@pytest.mark.parametrize(
    "changes",
    [
        {"bad_words": ("a",)},
        {"policy": "remdm_conf", "block_length": 32, "steps": 32},
        {"open_blocks": 2, "block_length": 8, "policy": "threshold", "threshold": 0.4},
        {"min_tokens": 20},
        {"frequency_penalty": 0.5},
        {"temperature": 0.9, "seed": 5},
        {"stop_token_ids": (94,)},
        {"eos_last": True},
    ],
    ids=str,
)
def test_answers_end_beside_other_rules(loaded: LoadedModel, changes: dict[str, Any]) -> None:
    ends = {END, 510, *changes.get("stop_token_ids", ())}
    for case in CASES[:3]:
        sampling = replace(case.request.sampling, max_tokens=32, steps=8, block_length=16)
        sampling = replace(sampling, **changes)
        tokens = run_alone(loaded, replace(case.request, sampling=sampling)).token_ids
        assert not {*BANNED, 511} & set(tokens)
        assert not ends & set(tokens[:-1])
        assert tokens[-1] in ends or len(tokens) == 32
        assert len(tokens) >= changes.get("min_tokens", 1)


def test_nothing_behind_an_end_is_filled_before_a_suffix(loaded: LoadedModel) -> None:
    case = CASES[4]
    suffixed = replace(case.request, suffix_token_ids=(7, 8, 9))
    answer = run_alone(loaded, suffixed)
    assert not {*BANNED, 511} & set(answer.token_ids)


def test_a_given_answer_may_have_tokens_of_prompts(loaded: LoadedModel) -> None:
    given = (7, BANNED[0], 9)
    sampling = SamplingParams(max_tokens=len(given), ignore_eos=True, logprobs=0, block_length=1)
    answer = run_alone(loaded, Request("a", (5, 6), sampling, given_answer=given))
    assert answer.token_ids == list(given)
    assert all(-100 < one.logprob < 0 for one in answer.logprobs)


def test_log_probabilities_are_those_of_the_tokens_up_to_the_end(loaded: LoadedModel) -> None:
    for case in CASES[:2]:
        sampling = replace(case.request.sampling, logprobs=2)
        answer = run_alone(loaded, replace(case.request, sampling=sampling))
        assert answer.token_ids == case.tokens
        assert [one.token_id for one in answer.logprobs] == case.tokens


def test_a_folder_without_a_tokenizer_takes_token_ids_alone(tmp_path: Path) -> None:
    folder = MODEL.write(tmp_path, MODEL.raw_config())
    for path in folder.glob("token*"):
        path.unlink()
    loaded = MODEL.load(folder)
    assert loaded.info.images is None
    assert not loaded.tokenizer.has_chat_template


def text_of(loaded: LoadedModel, *messages: dict[str, Any]) -> str:
    ids, _ = encode_chat(loaded.tokenizer, messages, loaded.info.images)
    kept = [i for n, i in enumerate(ids) if i != PLACEHOLDER or ids[n - 1] != PLACEHOLDER]
    return loaded.tokenizer.decode(kept, skip_special_tokens=False)


def turn(role: str, text: str) -> str:
    return f"<|start_header_id|>{role}<|end_header_id|>\n\n{text}<|eot_id|>"


ANSWER = "<|start_header_id|>assistant<|end_header_id|>\n\n"


def test_prompts_are_written_as_the_authors_code_does(loaded: LoadedModel) -> None:
    begin, system = "<|startoftext|>", turn("system", SYSTEM)
    hi = {"role": "user", "content": " hi\n"}
    assert text_of(loaded, hi) == f"{begin}{system}{turn('user', 'hi')}{ANSWER}"
    own = text_of(loaded, {"role": "system", "content": "Be brief."}, hi)
    assert own == f"{begin}{turn('system', 'Be brief.')}{turn('user', 'hi')}{ANSWER}"
    spelled = {"role": "user", "content": "<|reserved_token_0|>"}
    assert PLACEHOLDER not in encode_chat(loaded.tokenizer, [spelled], None)[0]


def test_images_have_their_places_and_squares_where_they_are_several(loaded: LoadedModel) -> None:
    from PIL import Image

    picture = {"type": "image", "image": Image.new("RGB", (50, 25), "red")}
    asked = {"role": "user", "content": [picture, " See? "]}
    expected = turn("user", "<|reserved_token_0|> See?")
    assert expected in text_of(loaded, asked)
    _, [image] = encode_chat(loaded.tokenizer, [asked], TRAITS)
    assert image.end - image.start == TILES.num_rows(25, 50)
    reply = {"role": "assistant", "content": "No."}
    more = {"role": "user", "content": ["This? ", picture, picture]}
    ids, images = encode_chat(loaded.tokenizer, [asked, reply, more], TRAITS)
    assert [image.end - image.start for image in images] == [10, 10, 10]
    assert ids.count(PLACEHOLDER) == 30


def test_the_family_is_told_by_the_class_or_the_model_type(tmp_path: Path) -> None:
    assert family_of(MODEL.opened(tmp_path)).name == "llada-v"
    assert family_of(MODEL.opened(tmp_path, architectures=None)).name == "llada-v"


def test_sizes_and_shapes_are_those_of_the_published_tower() -> None:
    listed = [[384 * across, 384 * down] for across in range(1, 7) for down in range(1, 7)]
    names = "model/siglip2-so400m-patch14-384", "google/siglip-so400m-patch14-384"
    for tower in names:
        for shapes in (listed, "(1x1),...,(6x6)"):
            raw = MODEL.raw_config(
                mm_vision_tower=tower,
                mm_hidden_size=1152,
                image_grid_pinpoints=shapes,
                vision_config=None,
            )
            sizes = read_llava_sizes(raw)
            assert sizes is not None
            assert (sizes.config.num_layers, sizes.config.num_heads) == (
                26,
                SIZES["num_attention_heads"],
            )
            pairs = tuple((down, across) for across, down in listed)
            assert sizes.tiles == Tiles(384, 27, pairs, 4, is_rounded=False)
            assert sizes.tiles.num_rows(3024, 4032) == 729 + 46 * 63


def test_a_shape_of_two_that_keep_as_much_is_the_first_listed_by_width() -> None:
    raw = MODEL.raw_config(image_grid_pinpoints="(1x2),...,(2x3)")
    sizes = read_llava_sizes(raw)
    assert sizes is not None
    assert sizes.tiles.shapes == ((40, 20), (60, 20), (40, 40), (60, 40))


def assert_writes(loaded: LoadedModel) -> None:
    prompt = tuple(range(20, 30))
    sampling = SamplingParams(max_tokens=4, ignore_eos=True)
    assert len(run_alone(loaded, Request("a", prompt, sampling)).token_ids) == 4


@pytest.mark.parametrize(
    "change",
    [
        {"mm_vision_tower": "openai/clip-vit-large-patch14-336"},
        {"mm_vision_tower": 3},
        {"mm_hidden_size": 1024},
        {"mm_projector_type": "linear"},
        {"mm_projector_type": None},
        {"mm_patch_merge_type": "flat"},
        {"mm_patch_merge_type": None},
        {"mm_resampler_type": "qformer"},
        {"mm_use_im_start_end": True},
        {"mm_vision_select_layer": -1},
        {"mm_vision_select_feature": "cls_patch"},
        {"s2": True},
        {"image_aspect_ratio": "pad"},
        {"image_aspect_ratio": None},
        {"image_grid_pinpoints": "[(20, 40)]"},
        {"image_grid_pinpoints": [[20, 30]]},
        {"image_grid_pinpoints": None},
    ],
    ids=str,
)
def test_images_alone_are_refused_for_another_way_to_rows(change: dict[str, Any]) -> None:
    with pytest.raises(InvalidCheckpoint, match=next(iter(change))):
        read_llava_sizes(MODEL.raw_config(**change))


def test_text_is_served_where_images_are_not_supported(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    raw, reason = (
        MODEL.raw_config(mm_projector_type="linear"),
        "images are not taken: .*mm_projector_type",
    )
    loaded = MODEL.assert_takes_none(tmp_path, caplog, reason, raw=raw)
    assert_writes(loaded)
    assert turn("system", SYSTEM) in text_of(loaded, {"role": "user", "content": "hi"})


@pytest.mark.parametrize(
    "missing", ["model.image_newline", f"{INNER}encoder.layers.1.mlp.fc1.bias"]
)
def test_text_is_served_where_tensors_of_the_tower_are_missing(
    missing: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tensors = MODEL.tensors()
    del tensors[missing]
    reason = f"images are not taken.*there is no {re.escape(missing)}"
    assert_writes(MODEL.assert_takes_none(tmp_path, caplog, reason, tensors=tensors))


def test_what_is_behind_the_layers_that_are_read_may_be_stored(tmp_path: Path) -> None:
    tensors = MODEL.tensors()
    last = {n.replace("layers.1.", "layers.2."): t for n, t in tensors.items() if "vision" in n}
    tensors |= {name: tensor.clone() for name, tensor in last.items()}
    tensors["model.faster_token"] = torch.zeros(64)
    tensors[f"{INNER}head.probe"] = torch.zeros(1, 1, 24)
    loaded = MODEL.load(MODEL.write(tmp_path, MODEL.raw_config(), tensors))
    pixels = MODEL.pixels()[0]
    expected = MODEL.recorded()["tiles.0"]
    assert (rows_of(loaded, pixels) - expected).abs().max() < 1e-4 * expected.abs().max()


def test_text_is_served_where_no_token_stands_for_an_image(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    reason = r"the tokenizer has no <\|reserved_token_0\|>"
    loaded = MODEL.assert_takes_none(tmp_path, caplog, reason, tags=())
    assert_writes(loaded)
    assert loaded.info.banned_ids == ()
