"""Inputs of a step, on the host or on the device: flat tensors, one layout for both.

Eager steps send them to the device as they are. CUDA graphs read them from static buffers, into
which they are written with padding.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from torch import Tensor

from unmask.engine.run.class_tables import ClassTables
from unmask.engine.run.staging import Array, Staging
from unmask.engine.run.traces import StepTraces
from unmask.engine.schedule.batch import DecodingArrays, StepBatch
from unmask.engine.schedule.chances import mask_shares, noise_bound
from unmask.types import MAX_BLOCK_LENGTH
from unmask_kernels.policies.ops import Rules, Scores, noise_of, select
from unmask_kernels.policies.table import MAX_NUMBERS, POLICIES, Policy
from unmask_kernels.scoring.constraints import Constraints, make_constraints
from unmask_kernels.scoring.types import (
    FILTERS,
    Draws,
    GuidedRows,
    LastTokens,
    Truncation,
    truncates,
)

CHANCE_CODES = frozenset(policy.code for policy in POLICIES if policy.by_chance)


@dataclass(frozen=True, slots=True)
class RowInputs:
    """Rows of a forward pass.

    A row of an open block has a slot among the device's open tokens, all others share the dummy
    slot. Where the host does not know a row's token, it is the one in its slot.
    """

    token_ids: Tensor  # [T] int64
    positions: Tensor  # [T] int64, by which rows are rotated
    slots: Tensor  # [T] int64, of the KV cache
    token_slots: Tensor  # [T] int64, of the open tokens
    is_known: Tensor  # [T] bool
    adapted: Tensor  # [T] bool, rows of drafts
    shares: Tensor | None = None  # [T] float32, of a token's embedding; None: tokens alone

    @classmethod
    def from_batch(cls, batch: StepBatch) -> "RowInputs":
        """The rows of a batch, on the host; those of images have their number for time."""
        rotary = batch.rotary
        positions = batch.positions if rotary is None else np.ascontiguousarray(rotary[:, 0])
        return cls(
            torch.from_numpy(batch.token_ids),
            torch.from_numpy(positions),
            torch.from_numpy(batch.slots),
            torch.from_numpy(batch.token_slots),
            torch.from_numpy(batch.is_known),
            torch.from_numpy(batch.adapted),
            None if batch.shares is None else torch.from_numpy(batch.shares),
        )

    def to_device(self, staging: Staging) -> "RowInputs":
        """The same on the device, brought in one copy."""
        return RowInputs(*staging.to_device([tensor.numpy() for tensor in self.tensors()]))

    def tensors(self) -> list[Tensor]:
        """Every tensor that there is, in the order of the fields."""
        tensors = (getattr(self, field.name) for field in fields(self))
        return [tensor for tensor in tensors if tensor is not None]

    def view(self, num_rows: int) -> "RowInputs":
        """The first rows, in the same memory."""
        return RowInputs(*(tensor[:num_rows] for tensor in self.tensors()))

    def sync_open_tokens(self, open_tokens: Tensor) -> None:
        """Read tokens that the host does not know from their slots, and write all others there.

        `open_tokens` are [rows of the table + 1, MAX_BLOCK_LENGTH].
        """
        flat = open_tokens.view(-1)
        tokens = torch.where(self.is_known, self.token_ids, flat[self.token_slots])
        flat[self.token_slots] = tokens
        self.token_ids.copy_(tokens)


def dummy_slot(open_tokens: Tensor) -> int:
    """The slot of open tokens [rows + 1, L] that rows of no open block share: the last one."""
    return open_tokens.numel() - 1


@dataclass(frozen=True, slots=True)
class SamplingInputs:
    """Parameters of M scored rows in B blocks, one block after another.

    D of the rows draw their token at random; of those that have temperature zero in a graph, the
    most likely token is taken. An `editing_threshold` of NaN replaces no token.
    """

    hidden_rows: Tensor  # [M] int64, rows of the hidden states
    token_slots: Tensor  # [M] int64, of the open tokens
    has_no_row: Tensor  # [M] bool, True for masked positions that no row of the pass tells to be
    spans: Tensor  # [M] int64, the block of each row
    drawn_rows: Tensor  # [D] int64, indices into M
    temperature: Tensor  # [D] float32
    seeds: Tensor  # [D] int64
    positions: Tensor  # [M] int64
    steps: Tensor  # [D] int64
    policies: Tensor  # [B] int32, codes of policies
    quota: Tensor  # [B] int64, the fewest positions to fill
    numbers: Tensor  # [B, MAX_NUMBERS] float32, the policy's own
    editing_threshold: Tensor  # [B] float32
    starts: Tensor  # [B + 1] int64, where the rows of each block begin; a graph has padding blocks
    penalties: Tensor | None = None  # [M] float32, nats added to entropies; None for none

    @staticmethod
    def arrays(batch: StepBatch, *, all_draw: bool | None = None) -> dict[str, Array]:
        """Arrays of a batch by field.

        Rows that draw are those of a temperature above zero, or all or none as `all_draw` says.
        """
        decoding, spans = batch.decoding, batch.scored_spans
        if all_draw is None:
            draws = decoding.draws
            drawn = draws.take(spans).nonzero()[0] if draws.any() else spans[:0]
        else:
            drawn = np.arange(len(spans) if all_draw else 0)
        owner = spans.take(drawn) if len(drawn) else drawn
        arrays: dict[str, Array] = {
            "hidden_rows": batch.hidden_rows,
            "token_slots": batch.scored_slots,
            "has_no_row": batch.has_no_row,
            "spans": spans,
            "drawn_rows": drawn,
            "temperature": decoding["temperature"].take(owner),
            "seeds": decoding["seed"].take(owner),
            "positions": batch.scored_positions,
            "steps": decoding.steps.take(owner),
            "policies": decoding["policy_code"],
            "quota": decoding.quota,
            "numbers": decoding["numbers"],
            "editing_threshold": decoding["editing_threshold"],
            "starts": batch.scored_starts,
        }
        if batch.penalties is not None:
            arrays["penalties"] = batch.penalties
        return arrays

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> "SamplingInputs":
        """Inputs of tensors by field."""
        return cls(**tensors)

    def current(self, open_tokens: Tensor, mask_token_id: int) -> Tensor:
        """The tokens [M] that rows hold; the slot of a position without a row has an older one."""
        return open_tokens[self.token_slots].masked_fill(self.has_no_row, mask_token_id)

    def rules(self, options: "SamplingOptions") -> Rules:
        """Parameters of the blocks' policies."""
        return Rules(
            options.policies,
            self.policies,
            self.starts,
            self.quota,
            self.numbers,
            options.longest_block,
        )

    def draws(self, truncation: Truncation | None) -> Draws | None:
        """Parameters of the rows that draw their token, if any does."""
        if not len(self.drawn_rows):
            return None
        keys = self.seeds, self.positions[self.drawn_rows], self.steps
        return Draws(self.temperature, *keys, rows=self.drawn_rows, truncation=truncation)


@dataclass(frozen=True, slots=True)
class GivenTokens:
    """Rows [R] among the scored ones whose tokens [R] are given; both int64."""

    rows: Tensor
    tokens: Tensor


@dataclass(frozen=True, slots=True)
class RandomOrder:
    """Random numbers that order the positions of B blocks, alone or beside confidences."""

    seeds: Tensor  # [B] int64
    steps: Tensor  # [B] int64
    temperature: Tensor  # [B] float32, `alg_temp`
    bounds: Tensor  # [B] float32, noise that fills a position, by policies of chance
    keeping: Tensor | None = None  # [B] float32, noise that keeps a token; None where none is lost

    def noise(self, spans: Tensor, positions: Tensor) -> Tensor:
        """Gumbel noise [M] float32 of rows of the blocks `spans` [M]."""
        return noise_of(self.seeds, self.steps, spans, positions)


@dataclass(frozen=True, slots=True)
class Together:
    """Groups [M] of rows, each of which fills its best rows, beside what blocks fill."""

    groups: Tensor  # [M] int64
    rules: Rules

    @classmethod
    def from_batch(cls, batch: StepBatch, staging: Staging) -> "Together | None":
        """The groups of a batch; None for none."""
        best = batch.best_of_all
        if best is None:
            return None
        numbers = np.zeros((len(best.codes), MAX_NUMBERS), np.float32)
        arrays: list[Array] = [best.groups, best.codes, best.starts, best.quota, numbers]
        groups, codes, starts, quota, zeros = staging.to_device(arrays)
        policies = frozenset(POLICIES[code] for code in set(best.codes.tolist()))
        return cls(groups, Rules(policies, codes, starts, quota, zeros, best.longest))

    def select(self, scores: Scores) -> Tensor:
        """True for rows [M] to fill."""
        return select(replace(scores, block=self.groups), self.rules)


@dataclass(frozen=True, slots=True)
class SamplingOptions:
    """Requests of few users, which no CUDA graph has, and facts about all rows of a step."""

    policies: frozenset[Policy]  # that occur
    longest_block: int = MAX_BLOCK_LENGTH
    edits: bool = False
    truncation: Truncation | None = None
    guided: GuidedRows | None = None
    constraints: Constraints | None = None
    last: LastTokens | None = None
    order: RandomOrder | None = None
    traces: StepTraces | None = None
    num_top: int = 0
    given: GivenTokens | None = None
    best_of_all: Together | None = None

    @staticmethod
    def are_default(batch: StepBatch, vocab_size: int) -> bool:
        """True if no request of a batch asks for any of them."""
        decoding = batch.decoding
        return not (
            len(batch.guided)
            or batch.constraints is not None
            or batch.classes is not None
            or batch.given is not None
            or batch.best_of_all is not None
            or decoding.num_top
            or decoding["is_rare"].any()
            or _truncates(decoding, vocab_size)
        )

    @classmethod
    def from_batch(
        cls,
        batch: StepBatch,
        guiding: Tensor,
        *,
        vocab_size: int,
        eos_token_ids: tuple[int, ...],
        staging: Staging,
        tables: ClassTables,
    ) -> "SamplingOptions":
        """Options of a batch; `guiding` [G, C] are normed hidden states without the prompt."""
        decoding = batch.decoding
        occurring = frozenset(POLICIES[code] for code in set(decoding["policy_code"].tolist()))
        longest = decoding.longest_block
        if cls.are_default(batch, vocab_size):
            return cls(occurring, longest, decoding.edits is not None)
        guided = constraints = last = given = None
        if len(batch.guided):
            scale = decoding["cfg_scale"][batch.scored_spans[batch.guided]]
            rows, scales = staging.to_device([batch.guided, scale])
            guided = GuidedRows(rows, guiding, scales)
        if (rows_of := batch.constraints) is not None:
            constraints = make_constraints(
                rows_of.constraints, rows_of.owner, vocab_size, staging.device
            )
        if batch.classes is not None:
            masks = tables.masks(batch.classes)
            constraints = replace(constraints or Constraints(), classes=masks)
        eos_last = decoding["eos_last"]
        if eos_last.any():
            last_rows = np.flatnonzero(eos_last[batch.scored_spans])
            last = LastTokens(*staging.to_device([last_rows, np.array(eos_token_ids)]))
        if batch.given is not None:
            given = GivenTokens(*staging.to_device([batch.given.rows, batch.given.tokens]))
        order = None
        if decoding["is_rare"].any():
            bounds, keeping = _bounds(decoding)
            keys = [decoding["seed"], decoding.steps, decoding["alg_temp"], bounds]
            if keeping.max() > -np.inf:  # infinity keeps no token
                keys.append(keeping)
            order = RandomOrder(*staging.to_device(keys))
        return cls(
            occurring,
            longest,
            decoding.edits is not None,
            _truncation(batch, vocab_size, staging),
            guided,
            constraints,
            last,
            order,
            num_top=decoding.num_top,
            given=given,
            best_of_all=Together.from_batch(batch, staging),
        )


def _bounds(decoding: DecodingArrays) -> tuple[Array, Array]:
    """Noise [B] that fills a position, and that keeps a token, by policies of chance.

    Other policies fill nothing by a bound of zero, and keep all.
    """
    bounds = np.zeros(len(decoding.columns), np.float32)
    keeping = np.full(len(decoding.columns), -np.inf, np.float32)
    for code in set(decoding["policy_code"].tolist()) & CHANCE_CODES:
        which = (decoding["policy_code"] == code).nonzero()[0]
        columns = decoding.columns[which]
        shares = mask_shares(
            POLICIES[code].name,
            decoding.steps[which],
            columns["num_steps"],
            columns["last_time"].astype(np.float64),
            columns["numbers"][:, 0].astype(np.float64),
        )
        bounds[which], keeping[which] = noise_bound(shares.masked), noise_bound(shares.committed)
    return bounds, keeping


def _truncates(decoding: DecodingArrays, vocab_size: int) -> bool:
    draws = decoding.draws
    return bool(draws.any() and (draws & truncates(decoding.columns, vocab_size)).any())


def _truncation(batch: StepBatch, vocab_size: int, staging: Staging) -> Truncation | None:
    """Filters of those of the rows that draw that have any."""
    decoding = batch.decoding
    draws = decoding.draws.take(batch.scored_spans)
    owner = batch.scored_spans[draws]
    which = truncates(decoding.columns, vocab_size).take(owner).nonzero()[0]
    if not len(which):
        return None
    owner = owner[which]
    filters = [decoding[name].take(owner) for name in FILTERS]
    return Truncation(*staging.to_device([which, *filters]))
