"""Every kernel alone, as parts of a run."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import torch

from benchmarks.device import attention, experts, fp8, int4, layers, products, unmasking
from benchmarks.device.report import Part
from benchmarks.device.timing import Ceilings

CONTEXTS = (1024, 4096, 16_384)
SCORED_ROWS = (2048, 256, 32)


def bits(device: torch.device, *, small: bool = False) -> Iterator[Part]:
    """Check of batch invariance; it runs first, as it takes little time."""
    shapes = products.TINY if small else products.PRODUCTS
    yield Part(
        "products, alone and together",
        3,
        partial(products.differing, shapes, device),
        "products",
        single=True,
    )
    yield Part(
        "attention, alone and together",
        3,
        partial(attention.same_bits_alone, _attention_shape(small=small), device),
        "attention_same_bits_alone",
        single=True,
    )


def parts(device: torch.device, ceilings: Ceilings, *, small: bool = False) -> Iterator[Part]:
    """Times beside floors and beside torch."""
    yield from _attention(device, ceilings, small=small)
    mixtures = (experts.TINY, replace(experts.TINY, held="fp8")) if small else experts.every()
    for mixture in mixtures:
        yield Part(
            f"experts, {mixture.name}, {mixture.rows} rows, {mixture.held or 'bfloat16'}",
            2.5,
            partial(experts.compare, mixture, ceilings, device),
            "experts",
        )
    head = unmasking.Shape(rows=4, hidden=32, vocab=9000) if small else unmasking.Shape()
    for count in (4,) if small else SCORED_ROWS:
        yield Part(
            f"unmasking, {count} rows",
            4,
            partial(unmasking.compare, replace(head, rows=count), ceilings, device),
            "unmasking",
        )
    sizes = (4, 64, 96) if small else (2048, 4096, 12_288)
    yield Part("layers", 4, lambda: layers.compare(*sizes, ceilings, device), "layers")


def products_fp8(
    device: torch.device, ceilings: Ceilings, *, small: bool = False
) -> Iterator[Part]:
    """W8A8 products alone, from few rows to many, beside torch's and beside bfloat16."""
    counts = (3, 40) if small else (*fp8.ROWS, 8192)
    for shape in (fp8.TINY,) if small else fp8.SHAPES:
        yield Part(
            f"products fp8, {shape.name}",
            10,  # each number of rows may have a configuration of its own to compile
            partial(fp8.compare, shape, counts, ceilings, device),
            "fp8",
        )


def products_int4(
    device: torch.device, ceilings: Ceilings, *, small: bool = False
) -> Iterator[Part]:
    """W4A16 products alone, from few rows to many, beside bfloat16."""
    counts = (3, 70) if small else int4.ROWS
    for shape in (int4.TINY,) if small else int4.SHAPES:
        run = partial(int4.compare, shape, counts, ceilings, device)
        yield Part(f"products int4, {shape.name}", 8, run, "int4")


def _attention_shape(*, small: bool) -> attention.Shape:
    if small:
        return attention.Shape(rows=2, queries=8, heads=4, kv_heads=2, head_dim=32)
    return attention.Shape()


def _attention(device: torch.device, ceilings: Ceilings, *, small: bool) -> Iterator[Part]:
    shape = _attention_shape(small=small)
    contexts = (64, 192) if small else CONTEXTS
    for context in contexts:
        few = context <= CONTEXTS[0]
        yield Part(
            f"attention, context {context}",
            12 if few else 6,
            partial(
                attention.compare,
                replace(shape, context=context),
                ceilings,
                device,
                configurations=few,
            ),
            "attention",
        )
    usual = replace(shape, context=96) if small else shape
    others = attention.others(usual, (64, 256)) if small else attention.others(usual)
    for own in others:
        yield Part(
            f"attention, heads of {own.head_dim}, window {own.window}, {own.held or 'bfloat16'}",
            3,
            partial(attention.compare, own, ceilings, device, configurations=False),
            "attention_others",
        )
