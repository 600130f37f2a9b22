"""LoRA adapters (Hu et al., 2022) in PEFT's layout, merged into the weights of a checkpoint."""

import logging
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from unmask.errors import InvalidCheckpoint
from unmask.models.adapted import AdaptedTensor, LowRankStored
from unmask.models.adapter_config import CONFIG, AdapterConfig
from unmask.models.cdlm import is_cdlm
from unmask.models.d2f import is_d2f
from unmask.models.hub import display_name, find_checkpoint
from unmask.models.quantized import Quantized
from unmask.models.shards import ADAPTER as FILE
from unmask.models.shards import StoredTensor, open_file
from unmask.models.weights import Weights
from unmask.types import AttentionPattern

logger = logging.getLogger(__name__)

Entry = TypeVar("Entry")
ROOT = "base_model.model."
PARTS = {"lora_A.weight": "a", "lora_B.weight": "b"}
BENEATH = ".base_layer"  # weight beneath an adapter, which PEFT saves of heads
EMBEDDINGS = "embed_tokens", "lm_head"  # that PEFT saves whole of a model with new tokens
REFUSED_PARTS = {
    "lora_magnitude_vector": "DoRA",
    "lora_embedding_A": "an adapted embedding",
    "lora_embedding_B": "an adapted embedding",
}
# Encoder and decoder of DiffusionGemma share their weights.
ENCODER, DECODER = "model.encoder.language_model.", "model.decoder."
DECODER_ONLY = f"{DECODER}self_conditioning."
# Names of LLaDA's own code, and those of Llama's.
LLADA_NAMES = (
    ("model.transformer.wte", "model.embed_tokens"),
    ("model.transformer.ff_out", "lm_head"),
    ("model.transformer.ln_f", "model.norm"),
    (".attn_norm", ".input_layernorm"),
    (".ff_norm", ".post_attention_layernorm"),
    (".q_proj", ".self_attn.q_proj"),
    (".k_proj", ".self_attn.k_proj"),
    (".v_proj", ".self_attn.v_proj"),
    (".attn_out", ".self_attn.o_proj"),
    (".ff_proj", ".mlp.gate_proj"),
    (".up_proj", ".mlp.up_proj"),
    (".ff_out", ".mlp.down_proj"),
)
BLOCKS, LAYERS = "model.transformer.blocks.", "model.layers."
ROOTS = ("model.", "encoder.")


def merge_adapters(weights: Weights, paths: tuple[str, ...], attention: AttentionPattern) -> None:
    """Merge the adapters of folders or hub repositories, one after the other.

    A weight becomes W + (alpha / r) B A, summed in float32. Raises `InvalidCheckpoint` for a
    tensor that no weight takes, and for what is not supported. `attention` is the model's.
    """
    for path in paths:
        folder = find_checkpoint(path)
        try:
            num_adapted = _merge(weights, folder)
        except InvalidCheckpoint as error:
            raise InvalidCheckpoint(f"adapter {path}: {error}") from None
        except re.error as error:
            raise InvalidCheckpoint(f"adapter {path}: {CONFIG}: not a pattern: {error}") from None
        logger.info("adapter %s: merged into %d tensors", path, num_adapted)
        name = (display_name(path),)
        if attention == "full" and (is_d2f(name) or is_cdlm(name)):
            logger.warning(
                "adapter %s: it is made for blocks behind a prompt that sees itself; this model "
                "keeps its full attention, which --attention block changes in LLaDA and Dream",
                path,
            )
        elif attention == "causal":
            logger.warning(
                "adapter %s: merged for all tokens; if it is made for guesses alone, as I-DLM's "
                "and UNO's are, it changes answers, which then are not the base model's",
                path,
            )


def check_beside(folder: Path, paths: tuple[str, ...]) -> None:
    """Raise `InvalidCheckpoint` for an adapter beside a checkpoint's weights that is not merged."""
    has_adapter = (folder / CONFIG).is_file() and any(folder.glob("adapter_model.*"))
    if has_adapter and all(find_checkpoint(path).resolve() != folder.resolve() for path in paths):
        raise InvalidCheckpoint(
            f"{folder} has an adapter beside its weights: --adapter {folder} merges it; if the "
            f"weights have it already, move {CONFIG} away"
        )


def _merge(weights: Weights, folder: Path) -> int:
    config = AdapterConfig.read(folder)
    merged: dict[str, AdaptedTensor] = {}
    pairs, saved = _sorted_tensors(folder, config)
    for stored_name, tensor in saved.items():
        name, base = _find(weights, stored_name)
        if base.shape != tensor.shape:
            raise InvalidCheckpoint(f"{stored_name} is {tensor.shape}, expected {base.shape}")
        merged[name] = AdaptedTensor(tensor)
    for module, pair in pairs.items():
        name, found = _find(weights, f"{module}.weight")
        base = merged.get(name, found)
        _check_pair(module, pair, base, config.rank_of(module))
        part = LowRankStored(pair["a"], pair["b"], config.scale_of(module))
        merged[name] = replace(base, additions=(*base.additions, part))
    _check_targets(weights, config, pairs, merged.keys())
    for name, tensor_of_both in merged.items():
        weights.adapt(name, tensor_of_both)
    return len(merged)


def _sorted_tensors(
    folder: Path, config: AdapterConfig
) -> tuple[dict[str, dict[str, StoredTensor]], dict[str, StoredTensor]]:
    """Pairs of matrices by module, and whole tensors by name; raises `InvalidCheckpoint`."""
    pairs: dict[str, dict[str, StoredTensor]] = {}
    saved: dict[str, StoredTensor] = {}
    for full_name, tensor in _open(folder).items():
        name = full_name.removeprefix(ROOT)
        if reason := next((REFUSED_PARTS[p] for p in name.split(".") if p in REFUSED_PARTS), None):
            raise InvalidCheckpoint(f"{full_name}: {reason} is not supported")
        if not tensor.dtype.is_floating_point:
            raise InvalidCheckpoint(f"{full_name} is of type {tensor.dtype}")
        module, part = _split(name)
        if beneath := part is None and module.endswith(BENEATH):
            module, name = module.replace(BENEATH, ""), name.replace(BENEATH, "")
        is_whole = beneath or config.saves(module) or module.rpartition(".")[2] in EMBEDDINGS
        is_known = part is not None or is_whole
        if not full_name.startswith(ROOT) or not is_known:
            raise InvalidCheckpoint(
                f"unexpected {full_name} {tensor.shape}: neither a matrix of LoRA, nor in "
                f"modules_to_save {list(config.saved)}"
            )
        if part is None:
            saved[name] = tensor
        elif not config.adapts(module):
            raise InvalidCheckpoint(f"unexpected {full_name}: target_modules do not name {module}")
        else:
            pairs.setdefault(module, {})[part] = tensor
    return _without_copies(pairs), _without_copies(saved)


def _split(name: str) -> tuple[str, str | None]:
    """Module of a tensor, and which matrix of LoRA it is, if it is one."""
    for suffix, part in PARTS.items():
        if name.endswith(f".{suffix}"):
            return name.removesuffix(f".{suffix}"), part
    return name.rpartition(".")[0], None


def _without_copies(entries: dict[str, Entry]) -> dict[str, Entry]:
    """Entries by the decoder's names where encoder and decoder share a weight.

    Raises `InvalidCheckpoint` unless both halves are adapted alike.
    """
    kept: dict[str, Entry] = {}
    for name, entry in entries.items():
        half = next((half for half in (ENCODER, DECODER) if name.startswith(half)), None)
        if name.startswith(DECODER_ONLY):
            half = None
        if half is None:
            kept[name] = entry
            continue
        rest = name.removeprefix(half)
        other = entries.get((DECODER if half == ENCODER else ENCODER) + rest)
        if other is None or not _are_equal(entry, other):
            raise InvalidCheckpoint(
                f"{name}: encoder and decoder share this weight, so an adapter must change both "
                "alike"
            )
        kept[DECODER + rest] = entry
    return kept


def _are_equal(one: object, other: object) -> bool:
    if isinstance(one, StoredTensor) and isinstance(other, StoredTensor):
        return one.equals(other)
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_are_equal(one[k], other[k]) for k in one)
    return False


def _open(folder: Path) -> dict[str, StoredTensor]:
    if not (folder / FILE).is_file():
        hint = "; *.bin can run code and is not read" if any(folder.glob("*.bin")) else ""
        raise InvalidCheckpoint(f"there is no {FILE} in {folder}{hint}")
    if not (tensors := open_file(folder / FILE)):
        raise InvalidCheckpoint(f"{FILE} has no tensors")
    return tensors


def _find(weights: Weights, name: str) -> tuple[str, AdaptedTensor]:
    """Tensor of the checkpoint that an adapter calls `name`, and its name there."""
    for candidate in _candidates(name):
        stored = weights.stored(candidate)
        if isinstance(stored, AdaptedTensor):
            return candidate, stored
        if isinstance(stored, StoredTensor | Quantized):
            return candidate, AdaptedTensor(stored)
    raise InvalidCheckpoint(f"no weight of the checkpoint takes {name}")


def _candidates(name: str) -> Iterator[str]:
    """Names that a checkpoint may have for an adapter's: its own, without or with a root, ..."""
    yield name
    for root in ROOTS:
        if name.startswith(root):
            yield name.removeprefix(root)
            yield from (other + name.removeprefix(root) for other in ROOTS if other != root)
        yield root + name
    if name.startswith(LAYERS) or name in ("model.embed_tokens.weight", "lm_head.weight"):
        yield _renamed(name.replace(LAYERS, BLOCKS), to_llama=False)
    if name.startswith("model.transformer."):
        yield _renamed(name, to_llama=True).replace(BLOCKS, LAYERS)


def _renamed(name: str, *, to_llama: bool) -> str:
    """A tensor's name in LLaDA's code or in Llama's."""
    module, _, last = name.rpartition(".")
    for own, llama in LLADA_NAMES:
        old, new = (own, llama) if to_llama else (llama, own)
        if module.endswith(old):
            return f"{module.removesuffix(old)}{new}.{last}"
    return name


def _check_pair(
    module: str, pair: Mapping[str, StoredTensor], base: AdaptedTensor, rank: int
) -> None:
    """Raise `InvalidCheckpoint` if the matrices of a module do not fit its weight."""
    for part, other in (("a", "b"), ("b", "a")):
        if part not in pair:
            raise InvalidCheckpoint(
                f"{module} has a lora_{other.upper()}, but no lora_{part.upper()}"
            )
    if len(base.shape) != 2:
        raise InvalidCheckpoint(f"{module} is {base.shape}, which is not a linear layer")
    num_outputs, num_inputs = base.shape
    for part, shape in (("a", (rank, num_inputs)), ("b", (num_outputs, rank))):
        if pair[part].shape != shape:
            raise InvalidCheckpoint(
                f"lora_{part.upper()} of {module} is {pair[part].shape}, expected {shape}"
            )


def _check_targets(
    weights: Weights,
    config: AdapterConfig,
    pairs: Mapping[str, Mapping[str, StoredTensor]],
    merged: Collection[str],
) -> None:
    """Raise `InvalidCheckpoint` for a target that the checkpoint has and the adapter has not.

    Experts may be trained as one parameter, without an adapter, and other encoders are not loaded.
    """
    if isinstance(config.targets, str):
        return
    for target in config.targets:
        named = [name for name in weights.names if name.endswith(f".{target}.weight")]
        if not any(module == target or module.endswith(f".{target}") for module in pairs):
            if named:
                raise InvalidCheckpoint(
                    f"target_modules name {target}, of which {FILE} has nothing"
                )
            continue
        for name in named if config.is_everywhere else ():
            is_of_layer = re.search(r"\.\d+\.", name) and ".experts." not in name
            if is_of_layer and name not in merged and not name.startswith("model.encoder."):
                raise InvalidCheckpoint(
                    f"{FILE} has nothing for {name}, which target_modules name: it is incomplete, "
                    "or an adapter of another model"
                )
