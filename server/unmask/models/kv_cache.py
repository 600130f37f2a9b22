"""KV cache: keys and values of each layer in pages."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class LayerShape:
    """Key heads of a layer, their size, and how many query heads share each of them.

    With a `window`, a query sees that many keys up to its anchor, and all those from there on.
    """

    num_kv_heads: int
    head_dim: int
    group_size: int
    window: int | None = None

    @property
    def slot_numbers(self) -> int:
        """Numbers that the keys and values of one token are."""
        return 2 * self.num_kv_heads * self.head_dim


@dataclass(frozen=True, slots=True)
class KVCache:
    """Keys and values of each layer, [pages, page_size, kv_heads, head_dim].

    Those of 8 bits are multiplied by `scales` as they are read, one for each head of a layer. They
    are ones: nothing was calibrated, and e4m3 reaches to 448, as floats of 16 bits hold keys.
    """

    keys: tuple[Tensor, ...]
    values: tuple[Tensor, ...]
    scales: tuple[Tensor | None, ...]

    @classmethod
    def empty(
        cls,
        layers: Sequence[LayerShape],
        num_pages: int,
        page_size: int,
        dtype: torch.dtype,
        device: torch.device,
    ) -> "KVCache":
        """A cache of zeros, whose memory is touched page by page as it is first used."""

        def pages() -> tuple[Tensor, ...]:
            shapes = [(num_pages, page_size, s.num_kv_heads, s.head_dim) for s in layers]
            return tuple(torch.zeros(shape, dtype=dtype, device=device) for shape in shapes)

        scales: list[Tensor | None] = [None] * len(layers)
        if dtype.itemsize == 1:
            scales = [torch.ones(shape.num_kv_heads, device=device) for shape in layers]
        return cls(pages(), pages(), tuple(scales))
