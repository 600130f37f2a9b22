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
    calibration, and e4m3's range (448) covers the keys and values of 16-bit models. `states` are
    the inputs of short convolutions, [pages, page_size, channels], in the model's dtype.
    """

    keys: tuple[Tensor, ...]
    values: tuple[Tensor, ...]
    scales: tuple[Tensor | None, ...]
    states: tuple[Tensor, ...] = ()

    @classmethod
    def empty(
        cls,
        layers: Sequence[LayerShape],
        num_pages: int,
        page_size: int,
        dtype: torch.dtype,
        device: torch.device,
        state_sizes: Sequence[int] = (),
        state_dtype: torch.dtype | None = None,
    ) -> "KVCache":
        """Cache of zeros; on a CPU the system commits memory at the first write.

        States have the dtype of keys where none is given.
        """

        def pages() -> tuple[Tensor, ...]:
            shapes = [(num_pages, page_size, s.num_kv_heads, s.head_dim) for s in layers]
            return tuple(torch.zeros(shape, dtype=dtype, device=device) for shape in shapes)

        scales: list[Tensor | None] = [None] * len(layers)
        if dtype.itemsize == 1:
            scales = [torch.ones(shape.num_kv_heads, device=device) for shape in layers]
        states = tuple(
            torch.zeros(num_pages, page_size, size, dtype=state_dtype or dtype, device=device)
            for size in state_sizes
        )
        return cls(pages(), pages(), tuple(scales), states)


def slot_bytes(
    layers: Sequence[LayerShape],
    state_sizes: Sequence[int],
    kv_dtype: torch.dtype,
    dtype: torch.dtype,
) -> int:
    """Memory of one token: keys and values in `kv_dtype`, states of convolutions in `dtype`."""
    numbers = sum(shape.slot_numbers for shape in layers)
    return numbers * kv_dtype.itemsize + sum(state_sizes) * dtype.itemsize
