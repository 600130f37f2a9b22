"""Rotary position embeddings (RoPE; Su et al., 2021) with linear, YaRN and Llama 3 scaling.

Sections of pairs may be rotated by different coordinates of a row (M-RoPE of Qwen2-VL, 2024).
`QueryScale` is Llama 4's scaling of queries by position.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from unmask.errors import InvalidCheckpoint
from unmask.models.config_fields import ConfigFields
from unmask.models.family import RawConfig

ORIGINAL_LENGTH = "original_max_position_embeddings"
FIELDS = ConfigFields(
    read=frozenset(
        (
            *("attention_factor", "beta_fast", "beta_slow", "factor", "high_freq_factor"),
            *("low_freq_factor", "mscale", "mscale_all_dim", "original_max_position_embeddings"),
            *("partial_rotary_factor", "rope_theta", "rope_type", "truncate", "type"),
        )
    )
)
SECTIONS = "mrope_section"
SECTION_FIELDS = FIELDS.joined(ConfigFields(read=frozenset((SECTIONS,))))
NUM_SECTIONS = 3  # pairs by time, by height and by width
# Fields of scaling by its type; the length is of the query scale, too.
USED: Mapping[str, frozenset[str]] = {
    "default": frozenset(),
    "linear": frozenset(("factor",)),
    "yarn": frozenset(
        (
            *("attention_factor", "beta_fast", "beta_slow", "factor", "mscale", "mscale_all_dim"),
            "truncate",
        )
    ),
    "llama3": frozenset(("factor", "high_freq_factor", "low_freq_factor")),
    "proportional": frozenset(("factor",)),
}
NEUTRAL = ("attention_factor", "factor")  # have no effect where they are 1
SCALING = frozenset().union(*USED.values())
QUERY_SCALE_FIELDS = ConfigFields(read=frozenset(("llama_4_scaling_beta",)))


@dataclass(frozen=True, slots=True)
class Rope:
    """Inverse frequencies of the P rotated pairs of a head's dimensions.

    Cosines and sines are multiplied by `scale`, YaRN's attention temperature.
    """

    inverse: Tensor  # [P] float32
    scale: float = 1.0
    sections: tuple[int, ...] = ()  # pairs by time, height and width, in this order (M-RoPE)

    @property
    def rotary_dim(self) -> int:
        """Rotated dimensions of a head."""
        return 2 * len(self.inverse)

    def coordinates(self, device: torch.device) -> Tensor | None:
        """Indices [P] of the coordinate that each pair is rotated by; None for one of all pairs."""
        if not self.sections:
            return None
        counts = torch.tensor(self.sections, device=device)
        return torch.arange(len(counts), device=device).repeat_interleave(counts)

    def pairs(self, head_dim: int) -> Tensor:
        """Inverse frequencies [head_dim / 2], padded with zeros for pairs that are not rotated."""
        padding = self.inverse.new_zeros(head_dim // 2 - len(self.inverse))
        return torch.cat((self.inverse, padding))


@dataclass(frozen=True, slots=True)
class QueryScale:
    """Factor of rotated queries at a position: 1 + beta log(1 + position // length)."""

    beta: float
    length: int  # positions below it have the factor 1

    def table(self, num_positions: int, dtype: torch.dtype, device: torch.device) -> Tensor | None:
        """Factors [num_positions, 1, 1], computed in float32; None if all of them are 1."""
        if num_positions <= self.length:
            return None
        lengths = torch.arange(num_positions) // self.length
        factors = 1 + self.beta * torch.log(1 + lengths.float())
        return factors[:, None, None].to(device, dtype)


def plain_rope(theta: float, rotary_dim: int) -> Rope:
    """RoPE without scaling: inverse frequencies from 1 down to nearly 1 / `theta`."""
    return Rope(1.0 / theta ** (torch.arange(0, rotary_dim, 2, dtype=torch.float32) / rotary_dim))


def read_rope(raw: RawConfig, head_dim: int, usual_part: float = 1.0) -> Rope:
    """RoPE of a `config.json`, from `rope_parameters` or `rope_scaling` and `rope_theta`.

    It is of `usual_part` of a head's dimensions if `partial_rotary_factor` does not say.

    Scaling follows transformers 5, which uses `factor`; earlier releases used the ratio of both
    lengths. Raises `InvalidCheckpoint`.
    """
    source = "rope_parameters" if raw.get("rope_parameters") else "rope_scaling"
    fields = _fields(raw)
    _check_agreement(raw)
    theta = raw.get("rope_theta") or fields["rope_theta"]
    part = raw.get("partial_rotary_factor") or fields.get("partial_rotary_factor") or usual_part
    rotary_dim = int(head_dim * part)
    if not 0 < rotary_dim <= head_dim or rotary_dim % 2 or head_dim % 2:
        raise InvalidCheckpoint(
            f"partial_rotary_factor {part} rotates {rotary_dim} of {head_dim} dimensions; both "
            "must be even"
        )
    plain = plain_rope(theta, rotary_dim)
    kind = _kind(fields)
    check_used(fields, kind, source)
    sections = _read_sections(fields, source, head_dim)
    if sections and kind != "default":
        raise InvalidCheckpoint(f"{source} of type {kind} with {SECTIONS} is not supported")
    try:
        if kind == "default":
            return replace(plain, sections=sections)
        if kind == "linear":
            return Rope(plain.inverse / fields["factor"])
        if kind == "yarn":
            return _yarn(plain.inverse, theta, fields, raw.get("max_position_embeddings"))
        if kind == "llama3":
            return _llama3(plain.inverse, fields)
    except KeyError as error:
        raise InvalidCheckpoint(f"{source} of type {kind} has no {error}") from error
    raise InvalidCheckpoint(f"{source} of type {kind} is not supported")


def plain_kind(rope: Mapping[str, Any]) -> RawConfig:
    """Fields of RoPE with a usual name of its type, which may be called after its sections."""
    kinds = {name: "default" for name in ("rope_type", "type") if rope.get(name) == "mrope"}
    return {**rope, **kinds}


def _read_sections(fields: RawConfig, source: str, head_dim: int) -> tuple[int, ...]:
    """Pairs of each section, if there are sections; raises `InvalidCheckpoint`."""
    sections = fields.get(SECTIONS)
    if sections is None:
        return ()
    is_list = isinstance(sections, list) and all(type(count) is int for count in sections)
    if not is_list or len(sections) != NUM_SECTIONS or min(sections) < 0:
        raise InvalidCheckpoint(
            f"{source}.{SECTIONS} must be {NUM_SECTIONS} numbers of pairs, got {sections!r:.60}"
        )
    if 2 * sum(sections) != head_dim:
        raise InvalidCheckpoint(
            f"{source}.{SECTIONS} has {sum(sections)} pairs, but a head has {head_dim // 2}"
        )
    return tuple(sections)


def read_query_scale(raw: RawConfig) -> QueryScale | None:
    """Query scale of a `config.json`, for families that list `QUERY_SCALE_FIELDS`.

    Raises `InvalidCheckpoint` if the length is missing.
    """
    fields = _fields(raw)
    beta, length = fields.get("llama_4_scaling_beta"), fields.get(ORIGINAL_LENGTH)
    if not beta:
        return None
    if length is None:
        raise InvalidCheckpoint(f"config.json: llama_4_scaling_beta needs {ORIGINAL_LENGTH}")
    return QueryScale(beta, length)


def stretched_positions(raw: RawConfig) -> int:
    """Context length after YaRN scaling; 0 without YaRN, or if a field is missing."""
    fields = _fields(raw)
    original, factor = fields.get("original_max_position_embeddings"), fields.get("factor")
    if _kind(fields) != "yarn" or not original or not factor:
        return 0
    return int(original * factor)


def _fields(raw: RawConfig) -> RawConfig:
    merged = {**(raw.get("rope_scaling") or {}), **(raw.get("rope_parameters") or {})}
    return {name: value for name, value in merged.items() if value is not None}


def _check_agreement(raw: RawConfig) -> None:
    """Raise `InvalidCheckpoint` for a field with two values, as releases of transformers differ."""
    places = {name: raw.get(name) or {} for name in ("rope_parameters", "rope_scaling")}
    places["config.json"] = {
        name: raw.get(name) for name in ("rope_theta", "partial_rotary_factor")
    }
    said: dict[str, tuple[str, Any]] = {}
    for place, fields in places.items():
        for name, value in fields.items():
            if value is None:
                continue
            field = "rope_type" if name == "type" else name
            other_place, other = said.setdefault(field, (place, value))
            if value != other:
                raise InvalidCheckpoint(
                    f"{name} is {other} in {other_place} and {value} in {place}; set one of both "
                    "to null with --hf-overrides"
                )


def check_used(fields: RawConfig, kind: str, source: str) -> None:
    """Raise `InvalidCheckpoint` for a field that scaling of this kind does not use.

    Without scaling, all fields but a factor have no effect in any release of transformers.
    """
    if kind not in USED:
        return
    for name, value in fields.items():
        is_neutral = value == 1 if name in NEUTRAL else kind == "default"
        if name in SCALING - USED[kind] and not is_neutral:
            raise InvalidCheckpoint(f"{source} of type {kind} has no use for {name} {value}")


def _kind(fields: RawConfig) -> str:
    return str(fields.get("rope_type") or fields.get("type") or "default")


def _yarn(inverse: Tensor, theta: float, fields: RawConfig, trained_len: int | None) -> Rope:
    """YaRN (Peng et al., 2023): divides low frequencies by `factor`, keeps high ones."""
    factor, rotary_dim = fields["factor"], 2 * len(inverse)
    length = fields.get("original_max_position_embeddings") or trained_len
    if length is None:
        raise KeyError("original_max_position_embeddings")
    scale = fields.get("attention_factor")
    if scale is None:
        one, all_dims = fields.get("mscale"), fields.get("mscale_all_dim")
        scale = _mscale(factor, 1.0)
        if one and all_dims:
            scale = _mscale(factor, one) / _mscale(factor, all_dims)

    def pair_with(num_rotations: float) -> float:
        """Index of the pair that rotates so often over the original context."""
        return rotary_dim * math.log(length / (num_rotations * 2 * math.pi)) / (2 * math.log(theta))

    first = pair_with(fields.get("beta_fast") or 32)
    last = pair_with(fields.get("beta_slow") or 1)
    if fields.get("truncate", True):
        first, last = math.floor(first), math.ceil(last)
    first, last = max(first, 0), min(last, rotary_dim - 1)
    spread = last - first or 0.001
    ramp = ((torch.arange(len(inverse), dtype=torch.float32) - first) / spread).clamp(0, 1)
    return Rope(inverse / factor * ramp + inverse * (1 - ramp), scale)


def _mscale(factor: float, weight: float) -> float:
    return 0.1 * weight * math.log(factor) + 1.0 if factor > 1 else 1.0


def _llama3(inverse: Tensor, fields: RawConfig) -> Rope:
    """Llama 3.1's scaling: like YaRN, with a ramp over the rotations and no `scale`."""
    rotations = fields["original_max_position_embeddings"] * inverse / (2 * math.pi)
    low, high = fields["low_freq_factor"], fields["high_freq_factor"]
    ramp = ((rotations - low) / (high - low)).clamp(0, 1)
    return Rope(inverse / fields["factor"] * (1 - ramp) + inverse * ramp)


def rope_tables(
    inverse: Tensor,
    num_positions: int,
    dtype: torch.dtype,
    device: torch.device,
    *,
    scale: float = 1.0,
) -> tuple[Tensor, Tensor]:
    """Cosines and sines [num_positions, 1, P] of inverse frequencies `inverse` [P].

    They are multiplied by `scale`, except for pairs of frequency zero, which stay unrotated; see
    `unmask.models.decoder.to_half_layout`.
    """
    angles = torch.arange(num_positions, dtype=torch.float32)[:, None, None] * inverse
    scales = torch.where(inverse == 0, 1.0, scale)
    return (angles.cos() * scales).to(device, dtype), (angles.sin() * scales).to(device, dtype)
