"""How heads turn with their position (Su et al., 2021), and how longer contexts are fitted in."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from unmask.errors import InvalidCheckpoint
from unmask.models.config_fields import ConfigFields
from unmask.models.family import RawConfig

FIELDS = ConfigFields(
    read=frozenset(
        (
            *("attention_factor", "beta_fast", "beta_slow", "factor", "high_freq_factor"),
            *("low_freq_factor", "mscale", "mscale_all_dim", "original_max_position_embeddings"),
            *("partial_rotary_factor", "rope_theta", "rope_type", "truncate", "type"),
        )
    )
)


@dataclass(frozen=True, slots=True)
class Rope:
    """Angles [P] by which P pairs of a head's dimensions turn a position; the others do not.

    Cosines and sines are multiplied by `scale`, which YaRN has for its sharper attention.
    """

    inverse: Tensor  # [P] float32
    scale: float = 1.0

    @property
    def rotary_dim(self) -> int:
        """Dimensions of a head that turn."""
        return 2 * len(self.inverse)

    def pairs(self, head_dim: int) -> Tensor:
        """The same for all pairs [head_dim / 2] of a head, those that turn first."""
        still = self.inverse.new_zeros(head_dim // 2 - len(self.inverse))
        return torch.cat((self.inverse, still))


def plain_rope(theta: float, rotary_dim: int) -> Rope:
    """Angles that fall from 1 to nearly 1 / `theta`."""
    return Rope(1.0 / theta ** (torch.arange(0, rotary_dim, 2, dtype=torch.float32) / rotary_dim))


def read_rope(raw: RawConfig, head_dim: int) -> Rope:
    """What a `config.json` says, in either form that transformers writes it.

    Kinds are computed as transformers does, with the `factor` that is given: releases before 5
    had the ratio of both lengths in its place. Raises `InvalidCheckpoint`.
    """
    given = "rope_parameters" if raw.get("rope_parameters") else "rope_scaling"
    fields = _fields(raw)
    theta = raw.get("rope_theta") or fields["rope_theta"]
    part = raw.get("partial_rotary_factor") or fields.get("partial_rotary_factor") or 1.0
    rotary_dim = int(head_dim * part)
    if not 0 < rotary_dim <= head_dim or rotary_dim % 2 or head_dim % 2:
        raise InvalidCheckpoint(
            f"partial_rotary_factor {part} turns {rotary_dim} of {head_dim} dimensions, which are "
            "no pairs of them"
        )
    plain = plain_rope(theta, rotary_dim)
    kind = _kind(fields)
    try:
        if kind == "default":
            return plain
        if kind == "linear":
            return Rope(plain.inverse / fields["factor"])
        if kind == "yarn":
            return _yarn(plain.inverse, theta, fields, raw.get("max_position_embeddings"))
        if kind == "llama3":
            return _llama3(plain.inverse, fields)
    except KeyError as error:
        raise InvalidCheckpoint(f"{given} of type {kind} has no {error}") from error
    raise InvalidCheckpoint(f"{given} of type {kind} is not supported")


def stretched_positions(raw: RawConfig) -> int:
    """The context to which YaRN stretches what a model was trained with; 0 if it does not say."""
    fields = _fields(raw)
    original, factor = fields.get("original_max_position_embeddings"), fields.get("factor")
    if _kind(fields) != "yarn" or not original or not factor:
        return 0
    return int(original * factor)


def _fields(raw: RawConfig) -> RawConfig:
    return {**(raw.get("rope_scaling") or {}), **(raw.get("rope_parameters") or {})}


def _kind(fields: RawConfig) -> str:
    return str(fields.get("rope_type", fields.get("type", "default")))


def _yarn(inverse: Tensor, theta: float, fields: RawConfig, trained_len: int | None) -> Rope:
    """Pairs that turn often stay, those that hardly do are slowed by the factor (Peng, 2023)."""
    factor, rotary_dim = fields["factor"], 2 * len(inverse)
    length = fields.get("original_max_position_embeddings") or trained_len
    if length is None:
        raise KeyError("original_max_position_embeddings")
    scale = fields.get("attention_factor")
    if scale is None:
        one, all_dims = fields.get("mscale"), fields.get("mscale_all_dim")
        scale = _sharpness(factor, 1.0)
        if one and all_dims:
            scale = _sharpness(factor, one) / _sharpness(factor, all_dims)

    def pair_that_turns(times: float) -> float:
        return rotary_dim * math.log(length / (times * 2 * math.pi)) / (2 * math.log(theta))

    first = pair_that_turns(fields.get("beta_fast") or 32)
    last = pair_that_turns(fields.get("beta_slow") or 1)
    if fields.get("truncate", True):
        first, last = math.floor(first), math.ceil(last)
    first, last = max(first, 0), min(last, rotary_dim - 1)
    spread = last - first or 0.001
    slowed = ((torch.arange(len(inverse), dtype=torch.float32) - first) / spread).clamp(0, 1)
    return Rope(inverse / factor * slowed + inverse * (1 - slowed), scale)


def _sharpness(factor: float, weight: float) -> float:
    return 0.1 * weight * math.log(factor) + 1.0 if factor > 1 else 1.0


def _llama3(inverse: Tensor, fields: RawConfig) -> Rope:
    """As YaRN, with a ramp over the turns themselves and no scale (Llama 3.1)."""
    turns = fields["original_max_position_embeddings"] * inverse / (2 * math.pi)
    low, high = fields["low_freq_factor"], fields["high_freq_factor"]
    kept = ((turns - low) / (high - low)).clamp(0, 1)
    return Rope(inverse / fields["factor"] * (1 - kept) + inverse * kept)


def rope_tables(
    inverse: Tensor,
    num_positions: int,
    dtype: torch.dtype,
    device: torch.device,
    *,
    scale: float = 1.0,
) -> tuple[Tensor, Tensor]:
    """Cosines and sines [num_positions, 1, P], times `scale`, of pairs that turn by `inverse` [P].

    Where fewer pairs turn than a head has, they are the first of each half of it, and the angles of
    the rest are zero; see `unmask.models.decoder.to_half_layout`. Those are left as they are.
    """
    angles = torch.arange(num_positions, dtype=torch.float32)[:, None, None] * inverse
    scales = torch.where(inverse == 0, 1.0, scale)
    return (angles.cos() * scales).to(device, dtype), (angles.sin() * scales).to(device, dtype)
