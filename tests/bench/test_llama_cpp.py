"""The comparison with llama.cpp: its names, its order of rows, and what its program prints."""

from pathlib import Path

import torch
from torch import Tensor

from benchmarks.llama_cpp import Work, run_llama_cpp
from benchmarks.llama_cpp_model import Shape, gguf_name, interleaved

SHAPE = Shape(vocab_size=32, hidden_size=16, intermediate_size=24, num_layers=2, num_heads=2)
PROGRAM = """#!/bin/sh
echo "$@" > "$(dirname "$0")/arguments"
echo "total time: 2000.00ms, time per step: 250.00ms, sampling time per step: 25.00ms" >&2
echo
echo "27,db31,$(printf a%.0s $(seq 28))"
"""


def turned(x: Tensor, cos: Tensor, sin: Tensor, *, neighbours: bool) -> Tensor:
    """Rotary embedding of heads [N, D] by D / 2 angles, of neighbours or of halves."""
    low, high = (x[:, 0::2], x[:, 1::2]) if neighbours else x.chunk(2, -1)
    return torch.cat((low * cos - high * sin, high * cos + low * sin), -1)


def test_rows_that_are_interleaved_score_as_before_with_neighbours_turned() -> None:
    torch.manual_seed(0)
    query, key = torch.randn(2, 16, 16).unbind()
    x, angles = torch.randn(16), torch.randn(4)
    scores = []
    for neighbours in (False, True):
        heads = [
            turned(
                ((interleaved(weight, 2) if neighbours else weight) @ x).view(2, 8),
                (angles * position).cos(),
                (angles * position).sin(),
                neighbours=neighbours,
            )
            for weight, position in ((query, 5), (key, 2))
        ]
        scores.append((heads[0] * heads[1]).sum(-1))
    torch.testing.assert_close(*scores)


def test_every_tensor_has_a_name_of_its_own() -> None:
    names = [gguf_name(name) for name in SHAPE.weights()]
    assert len({*names}) == len(names)
    assert {"token_embd.weight", "output.weight", "output_norm.weight"} < {*names}
    assert {"blk.1.ffn_down.weight", "blk.0.attn_output.weight"} < {*names}


def test_time_and_tokens_are_read_of_the_program(tmp_path: Path) -> None:
    program = tmp_path / "llama-diffusion-cli"
    program.write_text(PROGRAM)
    program.chmod(0o755)
    run = run_llama_cpp(program, tmp_path / "model", "ab", Work(32, 32, 4), threads=1)
    assert run.tokens == (27, 3, 1, 31, *[0] * 28)
    assert (run.elapsed_s, run.num_tokens, run.tokens_per_s) == (2.0, 32, 16.0)
    assert run.sampling_s == 0.025 * 16
    arguments = (tmp_path / "arguments").read_text()
    assert "--diffusion-steps 16 -c 64" in arguments
