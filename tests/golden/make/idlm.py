"""Makes tests/golden/idlm with a port of I-DLM's loop over transformers' Qwen3, on a CPU.

`python -m tests.golden.make.idlm`, from the root of this repository, with transformers 5.23.

A port: the loop is published inside a fork of SGLang, `inference/sglang/sglang/srt/dllm/algorithm/
idlm_blockN.py` of github.com/Introspective-Diffusion/I-DLM (a copy: thuEcstasy/I-DLM at
3342a17bf51df3d2a73d589f0a8c7f3e326f8828), which runs on GPUs only; `modeling_sdar.py` beside it is
Qwen3 for inference. At temperature 0 its answers are those of greedy decoding, a token a pass, and
this script makes sure that they are.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import Qwen3Config, Qwen3ForCausalLM

from tests.golden.make.causal_copying import FIELDS, PERIOD, set_weights, text, write
from tests.support.tiny import EOS_ID, MASK_ID

FOLDER = Path(__file__).parent.parent / "idlm"
# Prompt length, answer length, stride.
CASES = (
    (1, 12, 4),
    (7, 33, 4),
    (12, 40, 4),
    (16, 64, 4),
    (23, 18, 4),
    (29, 30, 4),
    (10, 24, 2),
    (17, 25, 2),
    (15, 24, 3),
    (31, 40, 8),
    (40, 41, 8),
    (20, 30, 8),
    (22, 1, 4),
    (25, 2, 4),
    (13, 5, 4),
    (26, 3, 8),
    (9, 20, 1),
)


@dataclass
class Strides:
    """Introspective strided decoding of one request at temperature 0."""

    model: Qwen3ForCausalLM
    prompt: list[int]
    stride: int
    answer: list[int] = field(default_factory=list)
    emitted: list[int] = field(default_factory=list)  # tokens of each pass after the prompt's

    def decode(self, num_tokens: int, *, ignore_eos: bool) -> None:
        """Fill `answer`, up to `num_tokens` or the end token, which it has as its last."""
        token = int(self.logits([])[-1].argmax())
        guesses: list[int] = []
        is_new = True  # the token was not emitted yet
        while True:
            known = [token] if is_new else []
            num_known = len(self.answer) - (0 if is_new else 1)
            rows = [token, *guesses, *[MASK_ID] * (self.stride - 1)]
            best = self.logits(rows, num_known)[-len(rows) :].argmax(1).tolist()
            right = 0
            while right < len(guesses) and guesses[right] == best[right]:
                right += 1
            new = [*known, *guesses[:right], best[right]]
            if self.emit(new, num_tokens, ignore_eos=ignore_eos):
                return
            # After a wrong guess, the masks that followed it tell nothing.
            guesses = best[right + 1 :] if right == len(guesses) else []
            token, is_new = best[right], False

    def emit(self, tokens: list[int], num_tokens: int, *, ignore_eos: bool) -> bool:
        """Append tokens of a pass; true at the end of the answer."""
        for count, token in enumerate(tokens, start=1):
            self.answer.append(token)
            is_last = len(self.answer) == num_tokens or (token == EOS_ID and not ignore_eos)
            if is_last or count == len(tokens):
                self.emitted.append(count)
                return is_last
        raise AssertionError("a pass has a token at least")

    @torch.no_grad()
    def logits(self, rows: list[int], num_known: int = 0) -> Tensor:
        """Logits of the prompt, the first tokens of the answer, and rows after them."""
        ids = torch.tensor([self.prompt + self.answer[:num_known] + rows])
        logits: Tensor = self.model(input_ids=ids, use_cache=False).logits[0]
        return logits


@torch.no_grad()
def greedy(model: Qwen3ForCausalLM, prompt: list[int], num_tokens: int) -> list[int]:
    """Answer of a token a pass."""
    ids = list(prompt)
    for _ in range(num_tokens):
        logits = model(input_ids=torch.tensor([ids]), use_cache=False).logits[0, -1]
        first, second = logits.topk(2).values.tolist()
        assert first - second > 1e-3, "two tokens tie"
        ids.append(int(logits.argmax()))
    return ids[len(prompt) :]


def case_of(
    model: Qwen3ForCausalLM, index: int, case: tuple[int, int, int], generator: torch.Generator
) -> dict[str, Any]:
    prompt_len, num_tokens, stride = case
    ignore_eos = index % 3 != 2
    prompt = text(prompt_len, generator, ends=not ignore_eos)
    strides = Strides(model, prompt, stride)
    strides.decode(num_tokens, ignore_eos=ignore_eos)
    expected = greedy(model, prompt, num_tokens)
    assert strides.answer == expected[: len(strides.answer)]
    assert len(strides.answer) == num_tokens or strides.answer[-1] == EOS_ID
    settings = {"gen_length": num_tokens, "stride": stride, "ignore_eos": ignore_eos}
    print(f"case {index}: {settings}, {len(strides.answer)} tokens by {strides.emitted}")
    return {
        "name": f"stride-{stride}-{index}",
        "prompt": prompt,
        "settings": settings,
        "tokens": strides.answer,
        "forwards": len(strides.emitted),
        "emitted": strides.emitted,
    }


def main() -> None:
    generator = torch.Generator().manual_seed(5)
    sizes = {name: value for name, value in FIELDS.items() if name != "rope_theta"}
    rope = {"rope_type": "default", "rope_theta": FIELDS["rope_theta"]}
    model = Qwen3ForCausalLM(Qwen3Config(**sizes, rope_parameters=rope))
    model.train(False)
    set_weights(model, PERIOD - 1, generator)
    cases = [case_of(model, i, case, generator) for i, case in enumerate(CASES)]
    letters = text(37, generator)
    ids = torch.tensor(letters[:30] + [MASK_ID] * 3 + letters[33:35] + [MASK_ID] * 2)
    with torch.no_grad():
        logits = model(input_ids=ids[None], use_cache=False).logits[0]
    # Fields and names of the published 8B and 32B.
    raw = FIELDS | {
        "architectures": ["SDARForCausalLM"],
        "attention_bias": False,
        "attention_dropout": 0.0,
        "attn_implementation": "flex_attention",
        "auto_map": {
            "AutoConfig": "configuration_sdar.SDARConfig",
            "AutoModel": "modeling_sdar.SDARModel",
            "AutoModelForCausalLM": "modeling_sdar.SDARForCausalLM",
        },
        "block_size": 3,
        "fuse_cross_entropy": True,
        "hidden_act": "silu",
        "initializer_range": 0.02,
        "max_position_embeddings": 40960,
        "model_type": "sdar",
        "rope_scaling": None,
        "sliding_window": None,
        "torch_dtype": "float32",
        "transformers_version": "4.52.4",
        "use_regular_causal": True,
        "use_sliding_window": False,
    }
    tensors = {"input_ids": ids, "logits": logits.contiguous()}
    write(FOLDER, model, raw, tensors, {"family": "idlm", "mask_token_id": MASK_ID, "cases": cases})


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
