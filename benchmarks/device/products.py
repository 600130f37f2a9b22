"""Whether a row of the library's products has the same bits among any number of others."""

import torch
import torch.nn.functional as F
from torch import Tensor

from unmask_kernels.rows import GPU_ROW_UNIT

ROWS = [*range(GPU_ROW_UNIT, 2048 + 1, GPU_ROW_UNIT), 3072, 4096, 8192]
# Outputs, inputs, and whether the result is added to what is there, of the layers of each model.
Product = tuple[int, int, bool]
PRODUCTS: dict[str, tuple[Product, ...]] = {
    "SDAR-8B": (
        (6144, 4096, False),
        (4096, 4096, True),
        (24_576, 4096, False),
        (4096, 12_288, True),
        (8192, 4096, False),  # a slice of the head
    ),
    "LLaDA-8B": ((12_288, 4096, False),),  # the others as above
    "LLaDA2.0-mini": (
        (3072, 2048, False),
        (2048, 2048, True),
        (10_240, 2048, False),
        (2048, 5120, True),
        (1024, 2048, False),
        (2048, 512, True),
    ),
    "SDAR-1.7B": (
        (4096, 2048, False),
        (12_288, 2048, False),
        (2048, 6144, True),
    ),
}
TINY: dict[str, tuple[Product, ...]] = {"tiny": ((8, 16, False), (8, 16, True))}


def differing(products: dict[str, tuple[Product, ...]], device: torch.device) -> dict[str, object]:
    """Numbers of rows whose first have other bits than among the most, by model and product."""
    found = {}
    for model, shapes in products.items():
        for outputs, inputs, added in shapes:
            weight = torch.randn(outputs, inputs, device=device).bfloat16() / inputs**0.5
            x = torch.randn(ROWS[-1], inputs, device=device).bfloat16()
            base = torch.randn(ROWS[-1], outputs, device=device).bfloat16() if added else None
            whole = _product(x, weight, base)
            rows = [n for n in ROWS if not torch.equal(_product(x[:n], weight, base), whole[:n])]
            if rows:
                found[f"{model} {outputs} x {inputs}"] = rows
    return {"rows": ROWS, "differ": found}


def _product(x: Tensor, weight: Tensor, base: Tensor | None) -> Tensor:
    if base is None:
        return F.linear(x, weight)
    return base[: len(x)].clone().addmm_(x, weight.T)
