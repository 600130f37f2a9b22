"""Makes tests/golden/llada/d2f.json with D2F's published code over the golden LLaDA, on a CPU.

`python -m tests.golden.make.d2f D2F`, from the root of this repository: D2F is a checkout of
github.com/SJTU-DENG-Lab/Discrete-Diffusion-Forcing at 880dfd1fc3b9d6acef80e098a0ae4bb619bc33c6.
Logits are of `model_cache/llada`, under the mask of `create_full_block_attention_mask`, and answers
of `_generate_block_single` of `eval_llada.py`, with its cache. Of that file only these functions
run: the rest needs lm-eval and a GPU.
"""

import ast
import importlib
import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
import torch.distributions as dists
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor

FOLDER = Path(__file__).parent.parent / "llada"
FUNCTIONS = (
    *("create_full_block_attention_mask", "extract_attention_mask", "top_p_logits"),
    *("top_k_logits", "sample_tokens", "_generate_block_single", "_update_block_completion_states"),
)
MASK_ID, NUM_TOKENS = 511, 48
# Prompt length, block size, share for the next block, for its full pace, confidence.
CASES = (
    (5, 8, 0.1, 0.95, 0.3),
    (8, 8, 0.1, 0.95, 0.3),
    (35, 8, 0.1, 0.95, 0.3),
    (1, 16, 0.1, 0.95, 0.5),
    (35, 16, 0.7, 0.95, 0.2),
    (5, 4, 0.9, 0.5, 0.4),
)
LOGITS_PROMPT, LOGITS_LEN, LOGITS_BLOCK = 11, 37, 8


def main(checkout: Path) -> None:
    sys.path.insert(0, str(checkout / "D2F-eval" / "model_cache"))
    raw = json.loads((FOLDER / "config.json").read_text())
    config = importlib.import_module("llada.configuration_llada").LLaDAConfig(**raw)
    config.use_cache = False
    model = importlib.import_module("llada.modeling_llada").LLaDAModelLM(config, init_params=False)
    model.load_state_dict(load_file(FOLDER / "model.safetensors"))
    functions = read_functions(checkout / "D2F-eval" / "eval_llada.py")
    cases = [answer(model.eval().float(), functions, *case) for case in CASES]
    generator = torch.Generator().manual_seed(5)
    ids = torch.randint(0, 500, (LOGITS_LEN,), generator=generator)
    mask = functions["create_full_block_attention_mask"](
        prompt_length=LOGITS_PROMPT,
        max_length=LOGITS_LEN,
        block_size=LOGITS_BLOCK,
        device="cpu",
        dtype=torch.float32,
    )
    with torch.no_grad():
        logits: Tensor = model(ids[None], attention_bias=mask).logits[0, -LOGITS_BLOCK:, :64]
    forward = {
        **{"ids": ids.tolist(), "num_prompt": LOGITS_PROMPT, "block_size": LOGITS_BLOCK},
        "logits": [[round(value, 6) for value in row] for row in logits.tolist()],
    }
    content = {"forward": forward, "cases": cases}
    (FOLDER / "d2f.json").write_text(json.dumps(content) + "\n")


def read_functions(path: Path) -> dict[str, Any]:
    """The authors' functions and methods, without the rest of their file."""
    found = [node for node in ast.walk(ast.parse(path.read_text())) if is_wanted(node)]
    names: dict[str, Any] = {"torch": torch, "F": F, "dists": dists}
    exec(compile(ast.Module(found, []), str(path), "exec"), names)
    return names


def is_wanted(node: ast.AST) -> bool:
    return isinstance(node, ast.FunctionDef) and node.name in FUNCTIONS


def answer(
    model: torch.nn.Module,
    functions: dict[str, Any],
    num_prompt: int,
    block_size: int,
    add: float,
    decoded: float,
    skip: float,
) -> dict[str, Any]:
    prompt = [(37 * i + 9 * num_prompt) % 500 for i in range(num_prompt)]
    forwards = 0

    class Counted(torch.nn.Module):
        def forward(self, *args: Any, **kwargs: Any) -> Any:
            nonlocal forwards
            forwards += 1
            return model(*args, **kwargs)

    settings = {
        **{"block_size": block_size, "block_add_threshold": add},
        **{"decoded_token_threshold": decoded, "skip_threshold": skip},
    }
    harness = SimpleNamespace(
        **settings,
        model=Counted(),
        mask_token_id=MASK_ID,
        max_new_tokens=NUM_TOKENS,
        max_length=128,
        device="cpu",
        target_dtype=torch.float32,
        temperature=0,
        top_p=None,
        top_k=None,
        sampling_strategy="default",
        tokenizer=SimpleNamespace(decode=lambda *_args, **_kwargs: ""),
    )
    update = functions["_update_block_completion_states"]
    harness._update_block_completion_states = lambda *args: update(harness, *args)
    tokens = functions["_generate_block_single"](harness, torch.tensor([prompt]))
    return {"prompt": prompt, "settings": settings, "tokens": tokens, "forwards": forwards}


if __name__ == "__main__":
    main(Path(sys.argv[1]))
