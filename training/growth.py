"""Begin a model with the weights of a smaller one that has another tokenizer."""

from collections.abc import Mapping

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerFast

EMBEDDING = "model.embed_tokens.weight"
LAYER = "model.layers."
OUTPUTS = ("o_proj.weight", "down_proj.weight")  # of a layer, added to its input


def grown(
    fresh: Mapping[str, Tensor],
    old: Mapping[str, Tensor],
    tokenizer: PreTrainedTokenizerFast,
    old_tokenizer: PreTrainedTokenizerFast,
) -> dict[str, Tensor]:
    """Weights of the `fresh` model that compute what the `old` one does, as near as may be.

    Added layers begin as the identity. A token that the old vocabulary lacks begins as the mean of
    its pieces.
    """
    weights = dict(fresh)
    num_old, num_fresh = num_layers(old), num_layers(fresh)
    places = {round(i * (num_fresh - 1) / max(1, num_old - 1)): i for i in range(num_old)}
    for name, value in fresh.items():
        if name == EMBEDDING:
            weights[name] = _embedding(value, old[name], tokenizer, old_tokenizer)
        elif not name.startswith(LAYER):
            weights[name] = old[name].float()
        else:
            index, rest = name.removeprefix(LAYER).split(".", 1)
            if int(index) in places:
                weights[name] = old[f"{LAYER}{places[int(index)]}.{rest}"].float()
            elif name.endswith(OUTPUTS):
                weights[name] = torch.zeros_like(value)
    return weights


def num_layers(weights: Mapping[str, Tensor]) -> int:
    """Layers that the names of weights speak of."""
    return 1 + max(int(name.split(".")[2]) for name in weights if name.startswith(LAYER))


def _embedding(
    fresh: Tensor,
    old: Tensor,
    tokenizer: PreTrainedTokenizerFast,
    old_tokenizer: PreTrainedTokenizerFast,
) -> Tensor:
    rows = fresh.clone()
    known = old_tokenizer.get_vocab()
    for text, token_id in tokenizer.get_vocab().items():
        if text in known:
            rows[token_id] = old[known[text]].float()
        elif token_id not in tokenizer.all_special_ids and not text.startswith("<|"):
            # The text of an entry has a character a byte, as the old vocabulary's has.
            pieces = _pieces(text, known)
            rows[token_id] = old[pieces].float().mean(0)
    return rows


def _pieces(text: str, known: Mapping[str, int]) -> list[int]:
    """The fewest longest entries, from the left, that make up a text of byte characters."""
    found: list[int] = []
    start = 0
    while start < len(text):
        end = next(end for end in range(len(text), start, -1) if text[start:end] in known)
        found.append(known[text[start:end]])
        start = end
    return found
