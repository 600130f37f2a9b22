"""Makes `tests/golden/dmax`: a tiny LLaDA2-MoE, and answers of DMax's loop over it.

    PYTHONPATH=. python tests/golden/make/dmax.py FOLDER [--out DIRECTORY]

FOLDER has two packages of czg1225/DMax at 82bc29e: `loop`, with generate_uniform.py,
parallel_strategy.py and utils.py of dInfer/python/dinfer/decoding, and `model`, with the modules of
dFactory/models/llada2_moe. Run with transformers 4.57.1. The authors' modules run as they are:
their loop over blocks, their decoder, and their model in float32. Imports of VeOmni, of which
nothing runs here, are empty modules. `Recomputing` stands for their KV cache. With a temperature,
Gumbel noise is unmask's own, the same in every step of a block, and what the decoder takes for the
likeliest token is the drawn one.
"""

import copy
import importlib
import random
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor

from tests.golden.make.llada2_folder import read_options, write_folder
from unmask_kernels.philox import gumbel_noise

CONFIG: dict[str, Any] = {
    "architectures": ["LLaDA2MoeModelLM"],
    "model_type": "llada2_moe",
    "first_k_dense_replace": 1,
    "head_dim": 16,
    "hidden_act": "silu",
    "hidden_size": 64,
    "intermediate_size": 64,
    "max_position_embeddings": 1024,
    "moe_intermediate_size": 16,
    "moe_router_enable_expert_bias": True,
    "n_group": 4,
    "norm_topk_prob": True,
    "num_attention_heads": 4,
    "num_experts": 8,
    "num_experts_per_tok": 2,
    "num_hidden_layers": 2,
    "num_key_value_heads": 2,
    "num_shared_experts": 1,
    "partial_rotary_factor": 0.5,
    "rms_norm_eps": 1e-06,
    "rope_scaling": None,
    "rope_theta": 600000.0,
    "routed_scaling_factor": 2.5,
    "router_dtype": "fp32",
    "score_function": "sigmoid",
    "tie_word_embeddings": False,
    "topk_group": 2,
    "use_bias": False,
    "use_qk_norm": True,
    "use_qkv_bias": False,
    "use_sliding_window": False,
    "vocab_size": 512,
}
MASK_TOKEN_ID, HEAD = 511, "lm_head.weight"
NUDGE = 1e-6
LOGIT_SPREAD = 16.0  # so that some tokens are confident
PULL = 0.9  # of a token's own embedding, so that blocks come to rest
SURE = 0.9  # of the authors' decoder
EMPTY = {
    "veomni.ops": ("causallm_loss_function", "fused_moe_forward"),
    "veomni.distributed.parallel_state": ("get_parallel_state",),
    "veomni.distributed.parallel_plan": ("ParallelPlan",),
    "veomni.utils.import_utils": ("is_liger_kernel_available",),
    "veomni.utils": ("logging",),
}
# Prompt, tokens of the answer, block length, threshold; 0.5 and 0.65 are the published ones.
CASES = [
    (64, 96, 32, 0.5),
    (45, 70, 32, 0.5),
    (40, 96, 32, 0.65),
    (97, 64, 32, 0.0),
    (7, 60, 32, 0.9),
    (33, 40, 32, 0.3),
    (20, 48, 16, 0.5),
    (9, 40, 8, 0.65),
    (31, 33, 8, 0.0),
    (50, 30, 4, 0.8),
]
# A case and its temperature; the seed is the length of its prompt.
DRAWN = [
    ((64, 96, 32, 0.5), 0.7),
    ((45, 70, 32, 0.65), 1.0),
    ((33, 60, 32, 0.0), 1.0),
    ((9, 40, 8, 0.5), 1.5),
]


def load_code(folder: Path) -> tuple[ModuleType, ModuleType, ModuleType]:
    """The authors' modules: loop, decoder, model."""
    torch.compiler.set_stance("force_eager")
    for name, attributes in EMPTY.items():
        parts = name.split(".")
        for i in range(1, len(parts) + 1):
            sys.modules.setdefault(".".join(parts[:i]), ModuleType(".".join(parts[:i])))
        for attribute in attributes:
            setattr(sys.modules[name], attribute, SimpleNamespace())
    sys.modules["veomni.utils.import_utils"].is_liger_kernel_available = lambda: False  # type: ignore[attr-defined]
    logging = importlib.import_module("transformers.utils").logging
    sys.modules["veomni.utils"].logging = logging  # type: ignore[attr-defined]
    sys.path.insert(0, str(folder.resolve()))
    names = "loop.generate_uniform", "loop.parallel_strategy", "model.modeling_llada2_moe"
    loop, decoder, model = (importlib.import_module(name) for name in names)
    return loop, decoder, model


def make_model(module: Any) -> Any:
    """A model with random weights in float32; the mask token is never the likeliest."""
    generator = torch.Generator().manual_seed(5)
    fields = {name: value for name, value in CONFIG.items() if name != "model_type"}
    config = module.LLaDA2MoeConfig(**fields, pad_token_id=0, attn_implementation="eager")
    config.model_type = CONFIG["model_type"]  # experts one by one, as they are published
    model = module.LLaDA2MoeModelLM(config).eval().float()
    with torch.no_grad():
        by_name = model.state_dict()
        for name in sorted(by_name, key=lambda name: (name == HEAD, name)):
            tensor = by_name[name]
            drawn = torch.randn(tensor.shape, generator=generator)
            if name.endswith("expert_bias"):
                tensor.copy_(drawn / 10)
            elif tensor.ndim == 1:
                tensor.copy_(1 + drawn / 10)
            elif name == HEAD:
                own = model.model.word_embeddings.weight * tensor.shape[1] ** 0.5
                drawn = PULL * own + (1 - PULL**2) ** 0.5 * drawn
                drawn[MASK_TOKEN_ID] = 0
                tensor.copy_(drawn * LOGIT_SPREAD / tensor.shape[1] ** 0.5)
            else:
                tensor.copy_(drawn / 2 / tensor.shape[1] ** 0.5)
    return model


def nudged(model: Any, seed: int) -> Any:
    """A copy whose weights are off by float32's last digits.

    A block that is revised often may come to depend on them. No such answer is recorded.
    """
    generator = torch.Generator().manual_seed(seed)
    other = copy.deepcopy(model)
    with torch.no_grad():
        for tensor in other.state_dict().values():
            tensor *= 1 + NUDGE * torch.randn(tensor.shape, generator=generator)
    return other


class Recomputing:
    """The model as the authors' loop calls it, computing all before a pass once more.

    Keys of finished blocks are those of their last tokens, which the loop passes again with the
    first pass of the next block. Counts blocks by how they ended.
    """

    def __init__(self, model: Any, block_length: int) -> None:
        self.model = SimpleNamespace(model=model.model)
        self.device = torch.device("cpu")
        self._forward = model
        self._block_length = block_length
        self._known = torch.zeros(0, dtype=torch.int64)

    def __call__(
        self,
        input_ids: Tensor | None = None,
        *,
        inputs_embeds: Tensor | None = None,
        position_ids: Tensor,
        **_: object,
    ) -> SimpleNamespace:
        first, last = int(position_ids[0, 0]), int(position_ids[0, -1])
        embed = self.model.model.word_embeddings
        if input_ids is not None:
            self._known = torch.cat((self._known[:first], input_ids[0]))
            inputs_embeds = embed(input_ids)
        rows = torch.cat((embed(self._known[:first])[None], inputs_embeds), 1)
        logits = logits_of(self._forward, rows, self._block_length)[first:][None]
        assert not (logits.argmax(-1) == MASK_TOKEN_ID).any(), "a mask stays a mask"
        kept = [torch.zeros(1, 1, last + 1, 1) for _ in range(2)]
        return SimpleNamespace(logits=logits, past_key_values=kept)


@torch.no_grad()
def logits_of(model: Any, rows: Tensor, block_length: int) -> Tensor:
    """Logits [T, V] of embeddings [1, T, C]; a block sees itself and those before it."""
    count = rows.shape[1]
    block = torch.arange(count) // block_length
    mask = (block[:, None] >= block[None, :]).float()
    output = model(
        inputs_embeds=rows,
        attention_mask=mask[None, None],
        position_ids=torch.arange(count)[None],
        use_cache=False,
    )
    logits: Tensor = output.logits[0].float()
    return logits


class Noise:
    """Gumbel noise of rows by seed and position alone, as `add_gumbel_noise` of the authors."""

    def __init__(self, seed: int) -> None:
        self.seed, self.first = seed, 0

    def __call__(self, logits: Tensor, temperature: float) -> Tensor:
        positions = torch.arange(self.first, self.first + logits.shape[1])
        seeds, steps = torch.full_like(positions, self.seed), torch.zeros_like(positions)
        noise = gumbel_noise(seeds, positions, steps, logits.shape[2])
        noise[:, MASK_TOKEN_ID] = -torch.inf
        return logits / temperature + noise


def answer(
    loop: Any,
    strategy: Any,
    model: Any,
    prompt: list[int],
    case: tuple[int, int, int, float],
    temperature: float,
) -> tuple[list[int], int, dict[str, int]]:
    """Tokens of an answer, denoising passes, and how many blocks ended for which reason."""
    _, length, block_length, threshold = case
    noise, of_token = Noise(len(prompt)), strategy._get_prob_stats
    ends = {"sure": 0, "unchanged": 0, "out": 0, "revised": 0}

    class Decoder(strategy.ThresholdParallelDecoder):  # type: ignore[misc, name-defined]
        """The authors' decoder, watched."""

        def decode_uniform(
            self,
            logits: Tensor,
            start: int,
            end: int,
            x: Any,
            active: Tensor,
            embedding: Any,
            **given: Any,
        ) -> Any:
            before, noise.first = x[:, start:end].clone(), int(start)
            over, embeddings = super().decode_uniform(
                logits, start, end, x, active, embedding, **given
            )
            after = x[:, start:end]
            changed = (before != after) & (before != MASK_TOKEN_ID)
            ends["revised"] += int(changed.sum())
            if over:
                sure = logits.float().softmax(-1).amax(-1)[active] >= SURE
                ends["sure" if sure.all() else "unchanged"] += 1
            return over, embeddings

    watched = Decoder(temperature, threshold, mask_id=MASK_TOKEN_ID, eos_id=-1)
    dinfer = importlib.import_module("loop.utils")
    generator = loop.BlockDiffusionLLM(
        Recomputing(model, block_length),
        watched,
        dinfer.BlockIteratorFactory(use_block_diffusion=True),
        dinfer.KVCacheFactory("prefix", is_bd_model=True),
        early_stop=False,
    )

    def of_drawn(logits: Tensor, tokens: Tensor, **given: Any) -> Any:
        return of_token(logits, tokens, **given | {"x_is_argmax": True})

    with (
        patch.object(strategy, "add_gumbel_noise", noise),
        patch.object(strategy, "_get_prob_stats", of_drawn),
    ):
        tokens = generator.generate(torch.tensor([prompt]), length, block_length)[0].tolist()
    num_blocks = -(-(len(prompt) + length) // block_length) - len(prompt) // block_length
    ends["out"] = num_blocks - ends["sure"] - ends["unchanged"]
    assert MASK_TOKEN_ID not in tokens
    passes = generator.num_forwards - 1  # without the prompt's
    return tokens[len(prompt) : len(prompt) + length], passes, ends


def main() -> None:
    """Write the checkpoint and the results, and print their sizes."""
    options = read_options(__doc__, "dmax")
    loop, strategy, module = load_code(options.code)
    model = make_model(module)
    others = [nudged(model, seed) for seed in range(2)]
    draw = random.Random(26)
    cases = []
    for case, temperature in [*((case, 0.0) for case in CASES), *DRAWN]:
        while True:
            prompt = draw.choices(range(500), k=case[0])
            given = prompt, case, temperature
            tokens, passes, ends = found = answer(loop, strategy, model, *given)
            if all(answer(loop, strategy, other, *given) == found for other in others):
                break
        name = f"prompt={case[0]}-block={case[2]}-threshold={case[3]}"
        settings = {"gen_length": case[1], "block_length": case[2], "threshold": case[3]}
        settings |= {"policy": "dmax"}
        if temperature:
            name += f"-temperature={temperature}"
            settings |= {"temperature": temperature, "seed": len(prompt)}
        cases.append(
            {"name": name, "prompt": prompt, "settings": settings, "tokens": tokens}
            | {"forwards": passes, "ends": ends}
        )
        sys.stdout.write(f"{name}: {case[1]} tokens in {passes} passes, {ends}\n")
    golden = {
        "family": "dmax",
        "mask_token_id": MASK_TOKEN_ID,
        "attention": "block_causal",
        "shift": False,
        "cases": cases,
    }
    write_folder(options.out, CONFIG, model.state_dict(), golden)


if __name__ == "__main__":
    main()
