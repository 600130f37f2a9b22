"""Compiles kernels for GPUs on a machine without one, and examines the result.

python -m unmask_kernels.testing.compiling [--out FILE]    a table; fails if a kernel would be slow
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from unmask_kernels import dependent_launch as dependent
from unmask_kernels.attention import gpu as attention
from unmask_kernels.convolution import gpu as convolution
from unmask_kernels.layers.gpu import layers, mixing, modulation, quantized_rows, sandwich
from unmask_kernels.linear.gpu import four_bits, fp8
from unmask_kernels.linear.gpu import widened as linear
from unmask_kernels.moe.gpu import experts
from unmask_kernels.noise.gpu import denoising, posterior
from unmask_kernels.noise.gpu import slices as canvas
from unmask_kernels.policies import gpu as selection
from unmask_kernels.quantization import gpu as quantization
from unmask_kernels.scoring.gpu import scores as unmasking
from unmask_kernels.scoring.gpu import truncation
from unmask_kernels.variant import Variant

CAPABILITIES = (80, 90, 100)
SHARED_LIMIT_BYTES = {80: 166_912, 90: 232_448, 100: 232_448, 120: 101_376}
CUOBJDUMP = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "cuobjdump"
# PTX instructions; ptxas maps each of these to one matrix instruction.
INSTRUCTIONS = {
    "wgmma": r"\bwgmma\.mma_async\b",
    "tcgen05": r"\btcgen05\.mma\b",
    "mma": r"\bmma\.sync\b",
    "tma": r"\bcp\.async\.bulk\.tensor\b",
    "cp.async": r"\bcp\.async\.c[ag]\b",
}
MEMORY = re.compile(r"\b(ld|st|atom|red)\.(global|relaxed|volatile)|\bcp\.async")
ASYNC_PRODUCT = re.compile(r"(%\w+) = ttng\.warp_group_dot .*isAsync = true")
# Matrix instructions of each chip; Hopper's and Blackwell's older ones run at a fraction.
MATRIX = {80: "mma", 90: "wgmma", 100: "tcgen05", 120: "mma"}


@dataclass(frozen=True, slots=True)
class Report:
    """Resources of a compiled kernel on a chip, and its problems."""

    name: str
    capability: int
    registers: int
    stack_bytes: int
    shared_bytes: int
    instructions: dict[str, int]
    problems: list[str] = field(default_factory=list)


def compile_variant(variant: Variant, capability: int) -> Report:
    """Compile for a chip such as 90, for sm_90, and look for spills and missing instructions."""
    signature, constants, hints = {}, {}, {}
    values = {"PDL": capability >= dependent.FIRST_CAPABILITY} | dict(variant.constants)
    for index, name in enumerate(variant.kernel.arg_names):
        if name in values:
            signature[name] = "constexpr"
            constants[(index,)] = values[name]
            continue
        kind, _, multiple = variant.types[name].partition(":")
        signature[name] = kind
        if kind.startswith("*") or multiple:
            hints[(index,)] = [["tt.divisibility", 16]]
    source = ASTSource(variant.kernel, signature, constants, hints)
    options = {"num_warps": variant.num_warps}
    compiled = triton.compile(source, target=GPUTarget("cuda", capability, 32), options=options)
    return examine(variant.name, capability, compiled, multiplies=variant.multiplies)


def examine(name: str, capability: int, compiled: Any, *, multiplies: bool) -> Report:
    """Report of a compiled kernel's resources and problems."""
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(compiled.asm["cubin"])
        file.flush()
        command = [str(CUOBJDUMP), "-res-usage", file.name]
        usage = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    match = re.search(r"REG:(\d+) STACK:(\d+)", usage)
    assert match is not None, usage
    counts = {
        kind: len(re.findall(code, compiled.asm["ptx"])) for kind, code in INSTRUCTIONS.items()
    }
    report = Report(
        name,
        capability,
        registers=int(match[1]),
        stack_bytes=int(match[2]),
        shared_bytes=compiled.metadata.shared,
        instructions={kind: count for kind, count in counts.items() if count},
    )
    report.problems.extend(_problems(report, multiplies))
    if read_too_early(compiled.asm["ttgir"]):
        report.problems.append("reads a product while the matrix unit adds to it")
    if not waits_first(compiled.asm["ptx"]):
        report.problems.append("reads or writes before the kernel before it is complete")
    return report


def waits_first(ptx: str) -> bool:
    """True if a kernel that launches dependents waits before its first access to memory."""
    _, lets, _ = ptx.partition("griddepcontrol.launch_dependents")
    before, waits, _ = ptx.partition("griddepcontrol.wait")
    return not lets or (bool(waits) and MEMORY.search(before) is None)


def read_too_early(ttgir: str) -> list[str]:
    """Lines of Triton's GPU IR that read an asynchronous product before a wait.

    Triton 3.6 makes a product asynchronous although a branch reads it. Only a wait, another product
    of the same sum and the next iteration of a loop may use it.
    """
    lines = [line.split(" loc(")[0].strip() for line in ttgir.splitlines()]
    products = {match[1] for line in lines if (match := ASYNC_PRODUCT.match(line))}
    return [
        line
        for line in lines
        if not any(op in line for op in ("ttng.warp_group_dot", "scf.yield"))
        and products.intersection(re.findall(r"%\w+", line.partition(" = ")[2]))
    ]


def _problems(report: Report, multiplies: bool) -> Iterator[str]:
    if report.stack_bytes:
        yield f"spills {report.stack_bytes} bytes"
    if report.shared_bytes > SHARED_LIMIT_BYTES[report.capability]:
        yield f"wants {report.shared_bytes} bytes of shared memory"
    wanted = MATRIX[report.capability]
    if multiplies and not report.instructions.get(wanted):
        yield f"has no {wanted}"


def all_variants(capability: int) -> Iterator[Variant]:
    """Every variant that can be launched on a chip."""
    yield from attention.variants(capability)
    yield from unmasking.variants(capability)
    yield from truncation.variants(capability)
    yield from canvas.variants(capability)
    yield from denoising.variants(capability)
    yield from posterior.variants(capability)
    yield from convolution.variants(capability)
    yield from modulation.variants(capability)
    yield from sandwich.variants(capability)
    yield from layers.variants(capability)
    yield from mixing.variants(capability)
    yield from selection.variants(capability)
    yield from experts.variants(capability)
    yield from linear.variants(capability)
    yield from quantization.variants(capability)
    yield from quantized_rows.variants(capability)
    yield from fp8.variants(capability)
    yield from four_bits.variants(capability)


def main() -> int:
    """Compile everything, print a line for each, and fail if any has a problem."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, help="write the reports as JSON")
    parser.add_argument("--only", default="", help="part of a variant's name")
    parser.add_argument("--capability", type=int, choices=MATRIX, help="one chip, such as 90")
    parser.add_argument("--part", default="0/1", help="I/N: every Nth variant from the Ith on")
    options = parser.parse_args()
    first, every = map(int, options.part.split("/"))
    reports = []
    for capability in CAPABILITIES if options.capability is None else [options.capability]:
        for variant in islice(all_variants(capability), first, None, every):
            if options.only not in variant.name:
                continue
            report = compile_variant(variant, capability)
            reports.append(report)
            counts = " ".join(f"{name} {count}" for name, count in report.instructions.items())
            sys.stdout.write(
                f"sm_{capability:<4} {report.name:48} {report.registers:4} registers "
                f"{report.shared_bytes / 1024:6.1f} KiB  {counts}  {'; '.join(report.problems)}\n"
            )
            sys.stdout.flush()
    if options.out:
        table = {"triton": triton.__version__, "kernels": [asdict(report) for report in reports]}
        options.out.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")
    return 1 if any(report.problems for report in reports) else 0


if __name__ == "__main__":
    sys.exit(main())
