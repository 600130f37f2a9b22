"""KV cache: paged keys and values of each layer."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class LayerShape:
    """Key and value shape of a layer, and its attention window.

    With a `window`, a query sees that many keys up to its anchor, and of those after it all, or as
    many as `ahead` says.
    """

    num_kv_heads: int
    head_dim: int
    group_size: int  # query heads a key head
    window: int | None = None
    ahead: int | None = None

    @property
    def slot_numbers(self) -> int:
        """Elements of the keys and values of one token."""
        return 2 * self.num_kv_heads * self.head_dim


@dataclass(frozen=True, slots=True)
class KVCache:
    """Keys and values of each layer, [pages, page_size, kv_heads, head_dim].

    8-bit caches are multiplied by `scales` [kv_heads] when read. These are ones: there is no
    calibration, and e4m3's range (448) covers the keys and values of 16-bit models.
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
        """Cache of zeros; on a CPU the system commits memory at the first write."""

        def pages() -> tuple[Tensor, ...]:
            shapes = [(num_pages, page_size, s.num_kv_heads, s.head_dim) for s in layers]
            return tuple(torch.zeros(shape, dtype=dtype, device=device) for shape in shapes)

        scales: list[Tensor | None] = [None] * len(layers)
        if dtype.itemsize == 1:
            scales = [torch.ones(shape.num_kv_heads, device=device) for shape in layers]
        return cls(pages(), pages(), tuple(scales))
