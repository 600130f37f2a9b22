"""SDAR against what its published reference code computed."""

import json

import pytest
from safetensors.torch import load_file

from tests.support.engines import make_engine, run_all
from tests.support.forward import block_causal, logits_of
from tests.support.tiny import GOLDEN
from unmask.models.registry import LoadedModel
from unmask.types import Request, SamplingParams

CASES = json.loads((GOLDEN / "sdar" / "golden.json").read_text())["cases"]


def request_of(case: dict, request_id: str) -> Request:
    settings = case["settings"]
    sampling = SamplingParams(
        max_tokens=settings["gen_length"],
        ignore_eos=True,
        policy=settings["policy"],
        threshold=settings.get("threshold"),
        steps=settings["steps_per_block"],
        block_length=settings["block_length"],
    )
    return Request(request_id, tuple(case["prompt"]), sampling)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_a_request_alone_gets_the_tokens_of_the_reference(tiny: LoadedModel, case: dict) -> None:
    answer = run_all(make_engine(tiny), [request_of(case, "a")])["a"]
    assert answer.token_ids == case["tokens"]
    # The reference spends a forward per block on its final keys and values; here they ride along.
    assert answer.finish is not None
    assert answer.finish.usage.denoising_steps <= case["forwards"]


@pytest.mark.parametrize("max_batch_tokens", [64, 96, 2048])
def test_all_requests_together_get_the_tokens_of_the_reference(
    tiny: LoadedModel, max_batch_tokens: int
) -> None:
    engine = make_engine(tiny, max_batch_tokens=max_batch_tokens)
    answers = run_all(engine, [request_of(case, case["name"]) for case in CASES])
    assert {name: a.token_ids for name, a in answers.items()} == {
        case["name"]: case["tokens"] for case in CASES
    }


def test_logits_of_one_forward_are_those_of_the_reference(tiny: LoadedModel) -> None:
    golden = load_file(GOLDEN / "sdar" / "forward.safetensors")
    ids = golden["input_ids"].flatten()
    logits = logits_of(tiny, ids, block_causal(len(ids), 4))
    expected = golden["logits"].view_as(logits)
    assert (logits - expected).abs().max() < 1e-4 * expected.abs().max()
