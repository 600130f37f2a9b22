"""The small files of a checkpoint folder, and what they tell a front end."""

import json
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from unmask.config import DecodingConfig, ModelConfig
from unmask.errors import InvalidCheckpoint, InvalidConfig
from unmask.models.family import Family, RawConfig, Traits
from unmask.models.hub import display_name
from unmask.models.rope import stretched_positions
from unmask.tokenizer import Tokenizer
from unmask.types import AUTO, CanvasSchedule, ModelInfo, SamplingParams

DEFAULT_MAX_POSITIONS = 2048


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A folder with its `config.json` and, where there is one, its `generation_config.json`."""

    folder: Path
    config: RawConfig
    generation: RawConfig

    @classmethod
    def open(cls, folder: Path, overrides: str | None = None) -> Self:
        """Read both files, with fields of `config.json` replaced by the JSON object `overrides`.

        Raises `InvalidCheckpoint`, and `InvalidConfig` for overrides that are no object.
        """
        config = _read_json(folder / "config.json") | _read_overrides(overrides)
        return cls(folder, config, _read_json(folder / "generation_config.json", optional=True))

    @property
    def architectures(self) -> tuple[str, ...]:
        """Classes that the checkpoint's authors load it with; those of `auto_map` if none is named.

        Fine-tuned copies often lack the field, and some the other one too.
        """
        named: list[str] = self.config.get("architectures") or []
        mapped = (self.config.get("auto_map") or {}).values()
        return tuple(named) or tuple(str(entry).rpartition(".")[2] for entry in mapped)


def _read_json(path: Path, *, optional: bool = False) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        if optional:
            return {}
        raise InvalidCheckpoint(f"there is no {path.name} in {path.parent}") from error
    except ValueError as error:
        raise InvalidCheckpoint(f"{path} is not JSON: {error}") from error
    return content


def _read_overrides(overrides: str | None) -> RawConfig:
    try:
        content = {} if overrides is None else json.loads(overrides)
    except ValueError as error:
        raise InvalidConfig(f"model.hf_overrides is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise InvalidConfig(f"model.hf_overrides must be a JSON object, got {overrides}")
    return content


def model_info(
    checkpoint: Checkpoint,
    family: Family,
    config: ModelConfig,
    decoding: DecodingConfig,
    tokenizer: Tokenizer,
) -> ModelInfo:
    """What the configuration says, else the checkpoint's files, else its family."""
    traits, generation = family.traits(checkpoint.config), checkpoint.generation
    raw = checkpoint.config.get("text_config") or checkpoint.config
    canvas = None if family.canvas is None else family.canvas(generation)
    # The tokenizer is where SDAR's own code looks.
    masks = (
        config.mask_token_id,
        raw.get("mask_token_id"),
        traits.mask_token_id,
        tokenizer.mask_token_id,
    )
    mask = next((mask for mask in masks if mask is not None), None)
    vocab_size = traits.vocab_size or int(raw["vocab_size"])
    if canvas is None:
        _check_mask(mask, vocab_size)
    if decoding.block_length == AUTO and traits.attention != "block_causal":
        raise InvalidConfig(
            "decoding.block_length auto is for models whose blocks see only those before them"
        )
    trained_len = max(
        int(raw.get("max_position_embeddings") or traits.max_positions or DEFAULT_MAX_POSITIONS),
        stretched_positions(raw),
    )
    name = config.served_name
    if name is None:
        name = "unmask-embedded" if config.path is None else display_name(config.path)
    return ModelInfo(
        name=name,
        max_model_len=min(config.max_model_len or trained_len, trained_len),
        vocab_size=vocab_size,
        mask_token_id=None if canvas is not None or mask is None else int(mask),
        eos_token_ids=_eos_ids(raw, generation, traits, tokenizer),
        default_sampling=_default_sampling(decoding, traits, generation, canvas),
        created_s=int(time.time()),
        attention=traits.attention,
        shift=traits.shift,
        schedule=traits.schedule,
        can_edit=traits.can_edit,
        caps_steps=traits.caps_steps,
        adapts_blocks=decoding.block_length == AUTO,
        canvas=canvas,
    )


def _check_mask(mask: int | None, vocab_size: int) -> None:
    if mask is None:
        raise InvalidCheckpoint(
            "neither config.json nor the tokenizer names a mask token; give its number with "
            "--mask-token-id"
        )
    if not 0 <= mask < vocab_size:
        raise InvalidCheckpoint(
            f"mask token {mask} is not in a vocabulary of {vocab_size}; "
            "give the right one with --mask-token-id"
        )


def _eos_ids(
    raw: RawConfig, generation: RawConfig, traits: Traits, tokenizer: Tokenizer
) -> tuple[int, ...]:
    """What the files name as the end, and the tokens that end an answer in this family."""
    eos = generation.get("eos_token_id", raw.get("eos_token_id"))
    if eos is None:
        eos = tokenizer.eos_token_id
    named = eos if isinstance(eos, list) else [] if eos is None else [eos]
    added = [tokenizer.added_token_id(text) for text in traits.end_tokens]
    return tuple(dict.fromkeys(named + [token for token in added if token is not None]))


def _default_sampling(
    decoding: DecodingConfig,
    traits: Traits,
    generation: RawConfig,
    canvas: CanvasSchedule | None,
) -> SamplingParams:
    """Defaults of the server's configuration over those of the checkpoint; greedy otherwise."""
    samples = generation.get("do_sample") and not traits.greedy
    temperature = generation.get("temperature") if samples else None
    params = SamplingParams(
        temperature=temperature or 0.0,
        policy=generation.get("policy"),
        threshold=generation.get("threshold"),
        factor=generation.get("factor"),
        entropy_bound=generation.get("entropy_bound"),
        steps=generation.get("steps"),
        editing_threshold=generation.get("editing_threshold", traits.editing_threshold),
        sub_block_length=traits.sub_block_length,
        block_length=generation.get("block_length") or traits.block_length,
    )
    if canvas is not None:
        params = replace(
            params,
            temperature=1.0,
            policy="entropy_bound",
            entropy_bound=canvas.entropy_bound,
            steps=canvas.steps,
        )
    given = {
        name: value
        for name in decoding.__dataclass_fields__
        if (value := getattr(decoding, name)) not in (None, AUTO)
    }
    return replace(params, **given)
