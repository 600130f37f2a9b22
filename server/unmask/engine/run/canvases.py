"""State of open canvases of noise on the device, between two steps."""

from dataclasses import dataclass

import torch
from torch import Tensor

from unmask.types import MAX_BLOCK_LENGTH
from unmask_kernels.noise.reference import CanvasState


@dataclass(frozen=True, slots=True)
class Canvases:
    """State of every open canvas between two steps, a row a sequence; the last row is padding's."""

    open_tokens: Tensor  # [N + 1, MAX_BLOCK_LENGTH] int64; a canvas's are the first L of a row
    draft: Tensor  # [N + 1, L] int64, the slots after them where there are as many
    unchanged: Tensor  # [N + 1] int64
    soft: Tensor  # [N + 1, L, C]

    @classmethod
    def empty(
        cls,
        num_sequences: int,
        length: int,
        hidden_size: int,
        dtype: torch.dtype,
        device: torch.device,
    ) -> "Canvases":
        """Memory for the canvases of `num_sequences` sequences."""
        num_rows = num_sequences + 1
        open_tokens = torch.zeros(num_rows, MAX_BLOCK_LENGTH, dtype=torch.int64, device=device)
        draft = open_tokens.new_zeros(num_rows, length)
        if 2 * length <= MAX_BLOCK_LENGTH:
            draft = open_tokens[:, length : 2 * length]
        soft = torch.zeros(num_rows, length, hidden_size, dtype=dtype, device=device)
        return cls(open_tokens, draft, open_tokens.new_zeros(num_rows), soft)

    @property
    def length(self) -> int:
        """Positions of a canvas."""
        return self.draft.shape[1]

    @property
    def tokens(self) -> Tensor:
        """Tokens [N + 1, L] that the next step reads."""
        return self.open_tokens[:, : self.length]

    @property
    def dummy_row(self) -> int:
        """The row of padding canvases."""
        return len(self.draft) - 1

    def state(self, rows: Tensor) -> CanvasState:
        """Canvases of `rows` [S]."""
        return CanvasState(self.tokens[rows], self.draft[rows], self.unchanged[rows])

    def keep(self, rows: Tensor, state: CanvasState) -> None:
        """Put canvases into `rows` [S]."""
        self.tokens.index_copy_(0, rows, state.tokens)
        self.draft.index_copy_(0, rows, state.draft)
        self.unchanged.index_copy_(0, rows, state.unchanged)
