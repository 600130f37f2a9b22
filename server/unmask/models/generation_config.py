"""Decoding defaults of a checkpoint: its files' over its family's, each checked as a request's."""

import logging
import math
from collections.abc import Iterator, Mapping
from typing import Any

from unmask.config import DecodingConfig
from unmask.errors import InvalidCheckpoint, InvalidConfig, InvalidRequest
from unmask.models.checkpoint import Checkpoint
from unmask.models.family import Family, RawConfig, Traits
from unmask.sampling_params import SETTINGS
from unmask.tokenizer import Tokenizer
from unmask.types import AUTO, CanvasSchedule, SamplingParams

logger = logging.getLogger(__name__)

FILE = "generation_config.json"
# Taken where the file does not say that sampling is off.
SAMPLING: Mapping[str, type] = {"temperature": float, "top_p": float, "top_k": int}
DENOISING: Mapping[str, type] = {
    "policy": str,
    "threshold": float,
    "factor": float,
    "entropy_bound": float,
    "steps": int,
    "editing_threshold": float,
    "block_length": int,
}
Found = dict[str, tuple[Any, str]]  # value and source of each default


def read_sampling(
    family: Family,
    traits: Traits,
    checkpoint: Checkpoint,
    canvas: CanvasSchedule | None,
    decoding: DecodingConfig,
) -> SamplingParams:
    """Defaults of the server's configuration over those of the files, over the family's.

    Logs each default with its source. Raises `InvalidCheckpoint` for values that no request could
    have, and `InvalidConfig` for a preset that the family does not have.
    """
    name, generation = checkpoint.name, checkpoint.generation
    found = {key: (value, "its family") for key, value in _family_defaults(traits).items()}
    found |= _preset(family, checkpoint, decoding.preset)
    if canvas is not None:
        schedule = {
            "temperature": 1.0,
            "policy": "entropy_bound",
            "entropy_bound": canvas.entropy_bound,
            "steps": canvas.steps,
        }
        found |= {key: (value, FILE) for key, value in schedule.items()}
    else:
        found |= {key: (value, FILE) for key, value in _file_defaults(traits, generation)}
    for row in SETTINGS:
        if (value := getattr(decoding, row.name)) not in (None, AUTO):
            found[row.name] = value, "the server's configuration"
    shown = [f"{key} {value} ({source})" for key, (value, source) in found.items()]
    logger.info("decoding defaults of %s: %s", name, ", ".join(shown) or "greedy")
    values = {"temperature": 0.0} | {key: value for key, (value, _) in found.items()}
    try:
        return SamplingParams(**values)
    except InvalidRequest as error:
        raise InvalidCheckpoint(f"{_source(found, error)}: {error.message}") from error


def read_eos_ids(
    raw: RawConfig, generation: RawConfig, traits: Traits, tokenizer: Tokenizer, vocab_size: int
) -> tuple[int, ...]:
    """Tokens that end an answer: of both files, of the tokenizer, and of the family's turns.

    Raises `InvalidCheckpoint` for what is no token of the vocabulary.
    """
    turns = [tokenizer.added_token_id(text) for text in traits.end_tokens]
    sources: dict[str, Any] = {
        FILE: generation.get("eos_token_id"),
        "config.json": raw.get("eos_token_id"),
        "the tokenizer": tokenizer.eos_token_id,
        "its chat turns": [token for token in turns if token is not None],
    }
    found: list[int] = []
    for source, named in sources.items():
        for token in named if isinstance(named, list) else [] if named is None else [named]:
            if isinstance(token, bool) or not isinstance(token, int):
                raise InvalidCheckpoint(f"eos_token_id {token!r} of {source} is no token id")
            if not 0 <= token < vocab_size:
                raise InvalidCheckpoint(
                    f"eos_token_id {token} of {source} is not in a vocabulary of {vocab_size}"
                )
            found.append(token)
    return tuple(dict.fromkeys(found))


def _family_defaults(traits: Traits) -> dict[str, Any]:
    defaults = {
        "editing_threshold": traits.editing_threshold,
        "sub_block_length": traits.sub_block_length,
        "block_length": traits.block_length,
    }
    return {name: value for name, value in defaults.items() if value is not None}


def _preset(family: Family, checkpoint: Checkpoint, wanted: str | None) -> Found:
    presets = family.presets(checkpoint.config, checkpoint.name)
    if not presets:
        if wanted is not None:
            raise InvalidConfig(f"decoding.preset is {wanted}, but {checkpoint.name} has none")
        return {}
    chosen = wanted or next(iter(presets))
    if chosen not in presets:
        raise InvalidConfig(f"decoding.preset must be one of {', '.join(presets)}, got {chosen!r}")
    return {key: (value, f"preset {chosen}") for key, value in presets[chosen].items()}


def _file_defaults(traits: Traits, generation: RawConfig) -> Iterator[tuple[str, Any]]:
    """Temperature, top_p and top_k together, as vLLM takes them, and this server's own fields."""
    samples = generation.get("do_sample")
    if samples is not None and not isinstance(samples, bool):
        raise InvalidCheckpoint(f"{FILE}: do_sample is {samples!r}, which is no boolean")
    kinds = dict(DENOISING)
    if samples is not False and not traits.greedy:
        kinds |= SAMPLING
        if samples and generation.get("temperature") is None:
            yield "temperature", 1.0  # transformers' default
    for name, kind in kinds.items():
        if (value := generation.get(name)) is not None:
            yield name, _checked(name, value, kind)


def _checked(name: str, value: Any, kind: type) -> Any:
    accepted = (int, float) if kind is float else kind
    if isinstance(value, bool) or not isinstance(value, accepted):
        raise InvalidCheckpoint(f"{FILE}: {name} is {value!r}, which is no {kind.__name__}")
    if isinstance(value, float) and not math.isfinite(value):
        raise InvalidCheckpoint(f"{FILE}: {name} is {value}, which is not finite")
    return value


def _source(found: Found, error: InvalidRequest) -> str:
    return found[error.field][1] if error.field in found else FILE
