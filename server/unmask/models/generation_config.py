"""Decoding defaults of a checkpoint, checked by the rules for requests.

The server's configuration overrides `generation_config.json`, which overrides the family.
"""

import logging
import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from unmask.config import DecodingConfig
from unmask.errors import InvalidCheckpoint, InvalidConfig, InvalidRequest
from unmask.models.cdlm import PRESETS as CDLM
from unmask.models.checkpoint import Checkpoint
from unmask.models.d2f import d2f_presets
from unmask.models.family import Family, Presets, RawConfig, Traits
from unmask.sampling_params import PARAMETERS, POLICY_NAMES, SETTINGS
from unmask.tokenizer import Tokenizer
from unmask.types import AUTO, NoiseSchedule, PosteriorSchedule, SamplingParams
from unmask_kernels.policies.table import ALIASES, NUMBERS

logger = logging.getLogger(__name__)

FILE = "generation_config.json"
PLAIN = "plain"  # the preset without revised tokens, of models that have several
# Read unless the file sets `do_sample` to false. A repetition penalty is not: files have it from
# the autoregressive model before the training, and no author's loop of a diffusion model has it.
SAMPLING: Mapping[str, type] = {
    "temperature": float,
    "top_p": float,
    "top_k": int,
    "min_p": float,
}
# Changes the answers of transformers' loops, and is read nowhere here; 0 and 1 are neutral.
UNREAD = (
    *("suppress_tokens", "begin_suppress_tokens", "bad_words_ids", "force_words_ids"),
    *("sequence_bias", "stop_strings", "min_length", "min_new_tokens", "no_repeat_ngram_size"),
    *("typical_p", "epsilon_cutoff", "eta_cutoff", "top_h", "exponential_decay_length_penalty"),
    *("num_beams", "penalty_alpha", "guidance_scale", "watermarking_config", "dola_layers"),
)
# Dream's classes write this for a model that was never told how to decode.
UNTOLD = {"alg": "origin", "steps": 512}
# What chooses the positions of a step, under the names that requests have.
DENOISING: Mapping[str, type] = {
    name: PARAMETERS[name].type.base
    for name in (
        *("policy", *NUMBERS, "alg_temp", "distance_penalty", "steps", "eos_last"),
        *("editing_threshold", "block_length", "sub_block_length"),
    )
}
Defaults = dict[str, tuple[Any, str]]  # value and source by field


def read_sampling(
    family: Family,
    traits: Traits,
    checkpoint: Checkpoint,
    canvas: NoiseSchedule | None,
    decoding: DecodingConfig,
) -> SamplingParams:
    """Default sampling parameters of a checkpoint; logs each with its source.

    Raises `InvalidCheckpoint` for values that a request could not have, and `InvalidConfig` for an
    unknown preset.
    """
    name = checkpoint.name
    defaults = _defaults(family, traits, checkpoint, canvas, decoding)
    listed = [f"{key} {value} ({source})" for key, (value, source) in defaults.items()]
    logger.info("decoding defaults of %s: %s", name, ", ".join(listed) or "greedy")
    if not traits.greedy:
        _warn_of_unread(checkpoint.generation)
    return _params(defaults)


def read_plain_sampling(
    family: Family,
    traits: Traits,
    checkpoint: Checkpoint,
    decoding: DecodingConfig,
    sampling: SamplingParams,
) -> SamplingParams | None:
    """Defaults for requests whose tokens cannot be revised; None if `sampling` revises none.

    Values of a preset were published for use with revised tokens, so they are left out too. A
    policy that mixes embeddings gives way to the checkpoint's own, if that is another.
    """
    mixes = sampling.mixes
    edits = traits.can_edit and sampling.editing_threshold is not None
    if not edits and not mixes:
        return None
    preset = _plain_preset(family, traits, checkpoint)
    plain, presets = replace(decoding, preset=preset), preset is not None
    defaults = _defaults(family, traits, checkpoint, None, plain, presets=presets)
    defaults.pop("editing_threshold", None)
    if mixes:
        own = _own(family, traits, checkpoint, None, preset, presets=presets)
        for key in ("policy", *NUMBERS):
            defaults.pop(key, None)
            value = None if own is None or own.mixes else getattr(own, key)
            if value is not None:
                defaults[key] = value, FILE
    return _params(defaults)


def read_own_sampling(
    family: Family,
    traits: Traits,
    checkpoint: Checkpoint,
    canvas: NoiseSchedule | None,
    decoding: DecodingConfig,
) -> SamplingParams | None:
    """Defaults of a checkpoint where the server sets none but a preset.

    Values of a preset with revised tokens are left out. None if the checkpoint has a value that a
    request could not have, in whose place the server has set another.
    """
    if not traits.can_edit:
        return _own(family, traits, checkpoint, canvas, decoding.preset)
    preset = _plain_preset(family, traits, checkpoint)
    return _own(family, traits, checkpoint, canvas, preset, presets=preset is not None)


def _own(
    family: Family,
    traits: Traits,
    checkpoint: Checkpoint,
    canvas: NoiseSchedule | None,
    preset: str | None,
    *,
    presets: bool = True,
) -> SamplingParams | None:
    unset = DecodingConfig(preset=preset)
    try:
        return _params(_defaults(family, traits, checkpoint, canvas, unset, presets=presets))
    except InvalidCheckpoint as error:
        logger.debug("defaults that are set otherwise: %s", error)
        return None


def _plain_preset(family: Family, traits: Traits, checkpoint: Checkpoint) -> str | None:
    """The preset without revised tokens, if there is one."""
    return PLAIN if PLAIN in _presets(family, traits, checkpoint) else None


def _defaults(
    family: Family,
    traits: Traits,
    checkpoint: Checkpoint,
    canvas: NoiseSchedule | None,
    decoding: DecodingConfig,
    *,
    presets: bool = True,
) -> Defaults:
    """Defaults by their sources, the last of which count."""
    defaults = {key: (value, "its family") for key, value in _family_defaults(traits).items()}
    if presets:
        defaults |= _preset(family, traits, checkpoint, decoding.preset)
    if canvas is not None:
        defaults |= _schedule_defaults(canvas)
    else:
        read = _file_defaults(traits, checkpoint.generation)
        defaults |= {key: (value, FILE) for key, value in read}
    for row in SETTINGS:
        if (value := getattr(decoding, row.name)) not in (None, AUTO):
            defaults[row.name] = value, "the server's configuration"
    if (decoding.open_blocks or 1) > 1 and decoding.sub_block_length is None:
        defaults.pop("sub_block_length", None)  # several blocks are filled whole
    return defaults


def _schedule_defaults(schedule: NoiseSchedule) -> Defaults:
    """Defaults of a model of uniform noise; those of DUO are its family's."""
    values = {"temperature": 1.0, "policy": schedule.policy, "steps": schedule.steps}
    if isinstance(schedule, PosteriorSchedule):
        return {key: (value, "its family") for key, value in values.items()}
    values["entropy_bound"] = schedule.entropy_bound
    return {key: (value, FILE) for key, value in values.items()}


def _params(defaults: Defaults) -> SamplingParams:
    """Raises `InvalidCheckpoint` for values that a request could not have."""
    values = {"temperature": 0.0} | {key: value for key, (value, _) in defaults.items()}
    try:
        return SamplingParams(**values)
    except InvalidRequest as error:
        raise InvalidCheckpoint(f"{_source(defaults, error)}: {error.message}") from error


def read_eos_ids(
    raw: RawConfig, generation: RawConfig, traits: Traits, tokenizer: Tokenizer, vocab_size: int
) -> tuple[int, ...]:
    """End-of-sequence ids of both files, the tokenizer and the family's turns, without duplicates.

    Tokens that are in no answer end none. Raises `InvalidCheckpoint` for ids outside the
    vocabulary.
    """
    turns = [tokenizer.added_token_id(text) for text in traits.end_tokens]
    sources: dict[str, Any] = {
        FILE: generation.get("eos_token_id"),
        "config.json": raw.get("eos_token_id"),
        "the tokenizer": tokenizer.eos_token_id,
        "its chat turns": [token for token in turns if token is not None],
    }
    eos_ids: list[int] = []
    for source, named in sources.items():
        for token in named if isinstance(named, list) else [] if named is None else [named]:
            if isinstance(token, bool) or not isinstance(token, int):
                raise InvalidCheckpoint(f"eos_token_id {token!r} of {source} is not a token id")
            if not 0 <= token < vocab_size:
                raise InvalidCheckpoint(
                    f"eos_token_id {token} of {source} is not in a vocabulary of {vocab_size}"
                )
            eos_ids.append(token)
    banned = read_banned_ids(traits, tokenizer)
    return tuple(token for token in dict.fromkeys(eos_ids) if token not in banned)


def read_banned_ids(traits: Traits, tokenizer: Tokenizer) -> tuple[int, ...]:
    """Ids of tokens that the family has in no answer, those that the tokenizer has."""
    ids = [tokenizer.added_token_id(text) for text in traits.banned_tokens]
    return tuple(token for token in ids if token is not None)


def _family_defaults(traits: Traits) -> dict[str, Any]:
    defaults = {
        "editing_threshold": traits.editing_threshold,
        "sub_block_length": traits.sub_block_length,
        "block_length": traits.block_length,
        "policy": traits.policy,
        "threshold": traits.threshold,
        "temperature": traits.temperature,
        "distance_penalty": traits.distance_penalty,
    }
    return {name: value for name, value in defaults.items() if value is not None}


def _presets(family: Family, traits: Traits, checkpoint: Checkpoint) -> Presets:
    if traits.attention == "prompt_block":
        return d2f_presets(shift=traits.shift) if traits.is_pipelined else CDLM
    return family.presets(checkpoint.config, checkpoint.name)


def _preset(family: Family, traits: Traits, checkpoint: Checkpoint, wanted: str | None) -> Defaults:
    presets = _presets(family, traits, checkpoint)
    if not presets:
        if wanted is not None:
            raise InvalidConfig(
                f"decoding.preset is {wanted}, but {checkpoint.name} has no presets"
            )
        return {}
    chosen = wanted or next(iter(presets))
    if chosen not in presets:
        raise InvalidConfig(f"decoding.preset must be one of {', '.join(presets)}, got {chosen!r}")
    return {key: (value, f"preset {chosen}") for key, value in presets[chosen].items()}


def _file_defaults(traits: Traits, generation: RawConfig) -> Iterator[tuple[str, Any]]:
    """Defaults in a `generation_config.json`: sampling as in vLLM, and this server's fields."""
    samples = generation.get("do_sample")
    if samples is not None and not isinstance(samples, bool):
        raise InvalidCheckpoint(f"{FILE}: do_sample is {samples!r}, which is not a boolean")
    kinds = dict(DENOISING)
    if traits.schedule == "timed":
        kinds["eps"] = float
    if samples is not False and not traits.greedy:
        kinds |= SAMPLING
        if samples and generation.get("temperature") is None:
            yield "temperature", 1.0  # transformers' default
    generation = _with_policy(generation)
    for name, kind in kinds.items():
        if (value := generation.get(name)) is not None:
            yield name, _checked(name, value, kind)


def _with_policy(generation: RawConfig) -> RawConfig:
    """The file with Dream's `alg` as `policy`, if it was chosen and its own loop has it."""
    alg = generation.get("alg")
    if alg is None:
        return generation
    if UNTOLD.items() <= generation.items():
        return {name: value for name, value in generation.items() if name not in UNTOLD}
    if alg in (*ALIASES, *POLICY_NAMES):
        return {"policy": alg, **generation}
    logger.warning("%s: alg %s is no policy, so it is not read, and neither is alg_temp", FILE, alg)
    return {name: value for name, value in generation.items() if name != "alg_temp"}


def _warn_of_unread(generation: RawConfig) -> None:
    """Name what would change the answers of other loops."""
    said = {name: generation.get(name) for name in UNREAD}
    unread = [f"{name} {value}" for name, value in said.items() if value and value != 1]
    if unread:
        logger.warning("%s: not read: %s", FILE, ", ".join(unread))


def _checked(name: str, value: Any, kind: type) -> Any:
    accepted = (int, float) if kind is float else kind
    if isinstance(value, bool) != (kind is bool) or not isinstance(value, accepted):
        raise InvalidCheckpoint(
            f"{FILE}: {name} is {value!r}, which is not of type {kind.__name__}"
        )
    if isinstance(value, float) and not math.isfinite(value):
        raise InvalidCheckpoint(f"{FILE}: {name} is {value}, which is not finite")
    return value


def _source(defaults: Defaults, error: InvalidRequest) -> str:
    return defaults[error.field][1] if error.field in defaults else FILE
