"""A tiny checkpoint of DreamOn, whose commands are likely, and a port of its authors' loop.

The loop is `_sample` of `generation_utils.py` in Dream-org/DreamOn-v0-7B, at temperature 0: a
canvas of prefix, masks and suffix, of which each pass resolves one mask.
"""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from tests.support.forward import full, logits_of
from tests.support.tiny import EOS_ID, GOLDEN, MASK_ID, save_tokenizer
from unmask.config import DecodingConfig, ModelConfig
from unmask.models.registry import LoadedModel, load_model

EXPAND_ID = 500
# An end of sequence deletes, as in the published checkpoint.
FIELDS = {"expand_token_id": EXPAND_ID, "eos_token_id": EOS_ID, "mask_token_id": MASK_ID}


def load_dreamon(
    folder: Path,
    decoding: DecodingConfig | None = None,
    likely: tuple[int, ...] = (EXPAND_ID, EOS_ID),
    likeliness: float = 4.0,
    **fields: Any,
) -> LoadedModel:
    """The golden checkpoint of Dream with a head of peaked logits, those of some tokens high."""
    write_dreamon(folder, likely, likeliness, **fields)
    config = ModelConfig(str(folder), dtype="float32", device="cpu")
    return load_model(config, decoding or DecodingConfig())


def write_dreamon(
    folder: Path,
    likely: tuple[int, ...] = (EXPAND_ID, EOS_ID),
    likeliness: float = 4.0,
    **fields: Any,
) -> None:
    """Write the checkpoint that `load_dreamon` loads."""
    raw = json.loads((GOLDEN / "dream" / "config.json").read_text()) | FIELDS | fields
    kept = {name: value for name, value in raw.items() if value is not None}
    (folder / "config.json").write_text(json.dumps(kept))
    shutil.copy(GOLDEN / "dream" / "model.safetensors", folder)
    weights = load_file(folder / "model.safetensors")
    head = weights["lm_head.weight"]
    head *= 3.0 / head.std() / head.shape[1] ** 0.5
    for token_id in likely:
        head[token_id] *= likeliness
    head[MASK_ID] = 0.0
    save_file(weights, folder / "model.safetensors")
    save_tokenizer(folder)


@dataclass(frozen=True)
class Filled:
    """Tokens of a gap, and how they came about."""

    tokens: list[int]
    passes: int
    expansions: int
    deletions: int
    longest: int


@torch.inference_mode()
def fill(
    loaded: LoadedModel,
    prefix: tuple[int, ...],
    suffix: tuple[int, ...],
    number_of_mask: int = 4,
    max_new_tokens: int = 64,
    alg: str = "entropy",
    expand: int = EXPAND_ID,
    delete: int = EOS_ID,
    pad_delete_to_right: bool = False,
) -> Filled:
    """Fill the gap between two texts as DreamOn's loop does."""
    canvas = torch.tensor((*prefix, *[MASK_ID] * number_of_mask, *suffix))
    max_length = len(prefix) + max_new_tokens + len(suffix)
    room = max_length - len(prefix)
    budget = 2 * room
    passes = expansions = deletions = 0
    longest = number_of_mask
    for _ in range(2 * room + 2 * budget):
        masks = (canvas == MASK_ID).nonzero()[:, 0]
        if not len(masks):
            break
        logits = logits_of(loaded, canvas, full(len(canvas)))
        logits = torch.cat((logits[:1], logits[:-1]))[masks]
        if len(canvas) == max_length or budget == 0:
            logits[:, expand] -= 1e9
        sure, tokens = confidence(logits, alg)
        chosen = int(sure.topk(1).indices)
        position, token = int(masks[chosen]), int(tokens[chosen])
        before, behind = canvas[:position], canvas[position + 1 :]
        passes += 1
        if token == delete:
            if pad_delete_to_right:
                behind = behind[behind != MASK_ID]
            canvas = torch.cat((before, behind))
            deletions += 1
        elif token == expand:
            canvas = torch.cat((before, torch.tensor([MASK_ID, MASK_ID]), behind))
            expansions, budget = expansions + 1, budget - 1
        else:
            canvas[position] = token
        longest = max(longest, len(canvas) - len(prefix) - len(suffix))
    end = len(canvas) - len(suffix)
    tokens_found = canvas[len(prefix) : end].tolist()
    assert MASK_ID not in tokens_found, "the loop ended by itself"
    return Filled(tokens_found, passes, expansions, deletions, longest)


def confidence(logits: Tensor, alg: str) -> tuple[Tensor, Tensor]:
    """Confidence [M] and token [M] of each mask, as the authors' `sample_tokens` has them."""
    probs = logits.softmax(-1)
    best, tokens = probs.max(-1)
    if alg == "topk_margin":
        first, second = probs.topk(2).values.unbind(-1)
        best = first - second
    elif alg == "entropy":
        best = (probs * torch.log(probs + 1e-10)).sum(-1)
    return best, tokens
