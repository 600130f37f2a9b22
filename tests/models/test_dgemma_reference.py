"""DiffusionGemma in other sizes against transformers' forward passes."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

pytest.importorskip("transformers.models.diffusion_gemma")

from tests.support.canvases import Forward, Rows, load, soft_of
from tests.support.gemma import FULL, SLIDING, ReferenceSequence, make_reference, save

SIZES: dict[str, dict[str, Any]] = {
    "as the golden one, and smaller": {},
    "odd heads, a short window": {
        "canvas_length": 12,
        "num_hidden_layers": 5,
        "layer_types": [SLIDING, FULL, SLIDING, SLIDING, FULL],
        "num_attention_heads": 6,
        "num_key_value_heads": 3,
        "num_global_key_value_heads": 2,
        "head_dim": 8,
        "global_head_dim": 24,
        "hidden_size": 48,
        "sliding_window": 7,
    },
    "full layers alone, heads of one size": {
        "layer_types": [FULL, FULL],
        "global_head_dim": 16,
        "num_global_key_value_heads": 2,
        "num_experts": 3,
        "top_k_experts": 1,
        "hidden_activation": "silu",
        "final_logit_softcapping": 5.0,
    },
    "other angles, a window longer than a canvas": {
        "canvas_length": 5,
        "num_hidden_layers": 3,
        "layer_types": [SLIDING, SLIDING, SLIDING],  # the last is made full
        "num_experts": 8,
        "top_k_experts": 4,
        "sliding_window": 40,
        "rope_parameters": {
            SLIDING: {"rope_type": "default", "rope_theta": 500.0},
            FULL: {
                "rope_type": "proportional",
                "rope_theta": 20_000.0,
                "partial_rotary_factor": 0.5,
                "factor": 4.0,
            },
        },
    },
    "layers named by none, one key head": {
        "num_hidden_layers": 7,
        "layer_types": None,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "num_global_key_value_heads": 1,
        "canvas_length": 32,
    },
}
PROMPT_LENS = (70, 23, 1)


def assert_close(logits: Tensor, expected: Tensor) -> None:
    assert (logits - expected).abs().max() < 2e-5 * expected.abs().max()


@pytest.mark.parametrize("name", SIZES)
def test_rows_of_every_kind_in_one_step_get_the_logits_of_the_reference(
    name: str, tmp_path: Path
) -> None:
    reference = make_reference(**SIZES[name])
    model = load(save(reference, tmp_path))
    vocab_size, width = len(model.embedding), reference.config.canvas_length
    generator = torch.Generator().manual_seed(5)

    def tokens(count: int) -> Tensor:
        return torch.randint(0, vocab_size, (count,), generator=generator)

    prompts = [tokens(count) for count in PROMPT_LENS]
    canvases = [tokens(width) for _ in prompts]
    sequences = [ReferenceSequence(reference) for _ in prompts]
    for sequence, prompt in zip(sequences, prompts, strict=True):
        sequence.encode(prompt)
    firsts = [s.logits(c) for s, c in zip(sequences, canvases, strict=True)]
    temperature = 0.6
    seconds = [
        s.logits(c, first / temperature)
        for s, c, first in zip(sequences, canvases, firsts, strict=True)
    ]

    forward = Forward(model)
    pages = [forward.pages(len(prompt) + 2 * width) for prompt in prompts]
    # The first sequence reads its prompt, the others begin to denoise.
    none, *hidden = forward.hidden(
        Rows(pages[0], 0, prompts[0][:41]),
        Rows(pages[1], 0, prompts[1], canvases[1]),
        Rows(pages[2], 0, prompts[2], canvases[2]),
    )
    assert len(none) == 0
    assert_close(model.logits(hidden[0]), firsts[1])
    assert_close(model.logits(hidden[1]), firsts[2])
    # The first one begins to denoise, the second goes on.
    softs = [soft_of(model, rows, temperature) for rows in hidden]
    hidden = forward.hidden(
        Rows(pages[0], 41, prompts[0][41:], canvases[0]),
        Rows(pages[1], len(prompts[1]), prompts[1][:0], canvases[1], softs[0]),
    )
    assert_close(model.logits(hidden[0]), firsts[0])
    assert_close(model.logits(hidden[1]), seconds[1])
    # The second one commits its canvas and begins another, the others go on.
    sequences[1].encode(canvases[1])
    following = sequences[1].logits(canvases[0])
    hidden = forward.hidden(
        Rows(pages[0], 70, prompts[0][:0], canvases[0], soft_of(model, hidden[0], temperature)),
        Rows(pages[1], len(prompts[1]), canvases[1], canvases[0]),
        Rows(pages[2], 1, prompts[2][:0], canvases[2], softs[1]),
    )
    for rows, expected in zip(hidden, (seconds[0], following, seconds[2]), strict=True):
        assert_close(model.logits(rows), expected)
