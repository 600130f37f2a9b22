"""Makes `tests/golden/llada22`: a tiny LLaDA2.2, logits of one forward pass, and answers.

    PYTHONPATH=. python tests/golden/make/llada22.py FOLDER [--out DIRECTORY]

FOLDER has `modeling_llada21_moe.py` and `configuration_llada21_moe.py` of LLaDA2.1, published in
ZHZisZZ/dllm at ca17675, dllm/pipelines/llada21/models; run with transformers 4.57.1. The authors'
files of LLaDA2.2 could not be had. FluxServe's guide says that they differ in the router and in the
loop, so both are a port: the router is `keep_experts` below, the loop is
`tests/support/levenshtein_reference.py`, from FLX-OSS/FluxServe at 0485806.
"""

import importlib
import random
import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tests.golden.make.llada2_folder import read_options, write_folder
from tests.support.levenshtein_reference import BLOCK, Rows, decode

CONFIG: dict[str, Any] = {
    "architectures": ["LLaDA2MoeModelLM"],
    "model_type": "llada2_moe",
    "block_size": 32,
    "delete_token_id": 508,
    "expert_capacity": 5,
    "first_k_dense_replace": 1,
    "head_dim": 16,
    "hidden_act": "silu",
    "hidden_size": 32,
    "intermediate_size": 32,
    "max_position_embeddings": 1024,
    "moe_intermediate_size": 8,
    "moe_router_enable_expert_bias": True,
    "n_group": 5,
    "norm_topk_prob": True,
    "num_attention_heads": 2,
    "num_experts": 10,
    "num_experts_per_tok": 3,
    "num_hidden_layers": 3,
    "num_key_value_heads": 1,
    "num_shared_experts": 1,
    "partial_rotary_factor": 0.5,
    "rms_norm_eps": 1e-06,
    "rope_scaling": None,
    "rope_theta": 3000000.0,
    "routed_scaling_factor": 2.5,
    "router_dtype": "fp32",
    "score_function": "sigmoid",
    "split_token_id": 509,
    "tie_word_embeddings": False,
    "topk_group": 2,
    "use_bias": False,
    "use_qk_norm": True,
    "use_qkv_bias": False,
    "use_sliding_window": False,
    "vocab_size": 512,
}
MASK_TOKEN_ID = 511
COMMAND_IDS = CONFIG["delete_token_id"], CONFIG["split_token_id"]
LOGIT_SPREAD = 5.0  # so that some tokens are confident
COMMAND_SPREAD = 2.0  # times as much, so that commands are chosen
CASES: list[tuple[int, int, dict[str, Any]]] = [
    (64, 64, {"threshold": 0.5, "editing_threshold": 0.0}),
    (40, 64, {"threshold": 0.5, "editing_threshold": 0.0}),
    (7, 80, {"threshold": 0.5, "editing_threshold": 0.0, "steps": 8}),
    (33, 50, {"threshold": 0.3, "editing_threshold": 0.4}),
    (96, 32, {"threshold": 0.9, "editing_threshold": 0.9}),
]


def keep_experts(gate: Any, scores: Tensor) -> tuple[Tensor, Tensor]:
    """Scores and ids of each row's best experts among those that its block of 32 keeps.

    Replaces the gate's `group_limited_topk`; `scores` [T, E] have the bias.
    """
    blocks = scores.view(-1, gate.config.block_size, gate.num_experts)
    best = blocks.amax(1).topk(gate.config.expert_capacity).indices
    kept = torch.zeros(len(blocks), gate.num_experts, dtype=torch.bool).scatter(1, best, True)
    allowed = blocks.masked_fill(~kept[:, None], float("-inf"))
    top = allowed.flatten(0, 1).topk(gate.top_k)
    return top.values, top.indices


def load_code(folder: Path) -> Any:
    """The modelling module with the router replaced."""
    sys.path.insert(0, str(folder.resolve().parent))
    module = importlib.import_module(f"{folder.resolve().name}.modeling_llada21_moe")
    module.LLaDA2MoeGate.group_limited_topk = keep_experts
    return module


def make_model(module: Any) -> Any:
    """A model with random weights in float32."""
    generator = torch.Generator().manual_seed(22)
    fields = {name: value for name, value in CONFIG.items() if name != "model_type"}
    config = module.LLaDA2MoeConfig(**fields, pad_token_id=0, attn_implementation="eager")
    model = module.LLaDA2MoeModelLM(config).eval().float()
    with torch.no_grad():
        for name, tensor in sorted(model.state_dict().items()):
            drawn = torch.randn(tensor.shape, generator=generator)
            if name.endswith("expert_bias"):
                tensor.copy_(drawn / 10)
            elif tensor.ndim == 1:
                tensor.copy_(1 + drawn / 10)
            elif name == "lm_head.weight":
                drawn[list(COMMAND_IDS)] *= COMMAND_SPREAD
                tensor.copy_(drawn * LOGIT_SPREAD / tensor.shape[1] ** 0.5)
            else:
                tensor.copy_(drawn * 1.5 / tensor.shape[1] ** 0.5)
    return model


@torch.no_grad()
def logits_of(model: Any, token_ids: list[int]) -> Tensor:
    """Logits [T, V] of whole blocks, each of which sees itself and those before it."""
    block = torch.arange(len(token_ids)) // BLOCK
    mask = (block[:, None] >= block[None, :])[None, None]
    positions = torch.arange(len(token_ids))[None]
    output = model(
        torch.tensor([token_ids]), attention_mask=mask, position_ids=positions, use_cache=False
    )
    logits: Tensor = output.logits[0].float()
    return logits


def main() -> None:
    """Write the checkpoint and the results, and print their sizes."""
    options = read_options(__doc__, "llada22")
    model = make_model(load_code(options.code))

    def rows_of(token_ids: list[int]) -> Rows:
        rows: Rows = logits_of(model, token_ids).tolist()
        return rows

    draw = random.Random(22)
    cases = []
    for num_prompt, length, settings in CASES:
        prompt = draw.choices(range(500), k=num_prompt)
        name = f"prompt={num_prompt}-" + "-".join(f"{k}={v}" for k, v in settings.items())
        given = settings | {"policy": "levenshtein", "gen_length": length, "block_length": BLOCK}
        case = {"name": name, "prompt": prompt, "settings": given}
        found = decode(rows_of, prompt, length, (MASK_TOKEN_ID, *COMMAND_IDS), **settings)
        counts = {"forwards": found.forwards, "commands": found.commands}
        cases.append(case | {"tokens": found.tokens} | counts)
        sys.stdout.write(f"{name}: {found.forwards} forwards, {found.commands} commands\n")
    ids = draw.choices(range(500), k=2 * BLOCK)
    for i in range(40, 2 * BLOCK, 2):
        ids[i] = MASK_TOKEN_ID
    forward = {"input_ids": torch.tensor([ids]), "logits": logits_of(model, ids)}
    golden = {
        "family": "llada22",
        "mask_token_id": MASK_TOKEN_ID,
        "attention": "block_causal",
        "block_length": BLOCK,
        "shift": False,
        "cases": cases,
    }
    write_folder(options.out, CONFIG, model.state_dict(), golden, forward)


if __name__ == "__main__":
    main()
