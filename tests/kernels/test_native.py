"""The C kernels: compilation, and equal results for every vector width."""

import ctypes
import itertools
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from tests.support.attention import build, check, check_in_company, exact
from unmask_kernels.attention.ops import attention
from unmask_kernels.linear import cpu as native
from unmask_kernels.native import automata, compiler, layout
from unmask_kernels.native import library as library_module
from unmask_kernels.native.compiler import FOLDER, compile_to
from unmask_kernels.native.library import (
    FLAGS,
    FORMATS,
    INSTRUCTIONS,
    PAIRS,
    SOURCES,
    TILES,
    library,
    load,
    multiplies,
)
from unmask_kernels.native.memory import reserve
from unmask_kernels.scoring import reference
from unmask_kernels.scoring.cpu import softmax_stats

COMPILER = shutil.which("gcc")
needs_compiler = pytest.mark.skipif(
    COMPILER is None or library(torch.float32) is None,
    reason="no C compiler, or no CPU that it is for",
)
# Relative to the largest entry.
TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 1e-2}
# Vectors as of AVX2, and as of AVX-512 with a compiler that makes two instructions of AVX2 of each
# and takes three times as long with all optimisations; bfloat16 in pairs and in tiles by functions
# that do what the instructions do.
WIDE = ("-DLANES=16", "-O1")
EMULATED = (*WIDE, "-include", str(Path(__file__).parent / "emulated.h"))
WAYS = {
    "narrow": (torch.float32, ()),
    "wide": (torch.float32, WIDE),
    "narrow-bf16": (torch.bfloat16, ()),
    "wide-bf16": (torch.bfloat16, WIDE),
    "pairs": (torch.bfloat16, (*EMULATED, "-DPAIRS")),
    "tiles": (torch.bfloat16, (*EMULATED, "-DTILES")),
}


def compiled_to(folder: Path, flags: tuple[str, ...]) -> Path:
    assert COMPILER is not None
    return compile_to(folder, COMPILER, (*FLAGS, *flags), SOURCES)


@dataclass(frozen=True)
class Kernels:
    dtype: torch.dtype
    unit: int  # inputs come in multiples of it


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """Cache shared by all test processes, so that only the first compiles."""
    base = tmp_path_factory.getbasetemp()
    return (base if worker_id == "master" else base.parent) / "native"


@pytest.fixture(params=WAYS)
def kernels(
    request: pytest.FixtureRequest, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> Kernels:
    """Kernels of each kind, also of instructions that this CPU lacks."""
    dtype, flags = WAYS[request.param]
    flags = (*INSTRUCTIONS["AVX2"], *FORMATS[dtype], *flags)
    compiled = load(compiled_to(folder, flags))
    assert compiled.panel_width() == (32 if "-DLANES=16" in flags else 16)
    monkeypatch.setattr(library_module, "library", {dtype: compiled}.get)
    return Kernels(dtype, compiled.input_unit())


@pytest.mark.usual_cases(1)
@needs_compiler
@pytest.mark.parametrize("num_rows", [0, 1, 5, 6, 13, 17, 33, 97, 193, 401])
@pytest.mark.parametrize(("num_outputs", "num_inputs"), [(1, 2), (33, 40), (64, 2050), (50, 4100)])
def test_products_of_every_shape_are_right(
    kernels: Kernels, num_rows: int, num_outputs: int, num_inputs: int
) -> None:
    torch.manual_seed(0)
    dtype, num_inputs = kernels.dtype, -(-num_inputs // kernels.unit) * kernels.unit
    x, weight = torch.randn(num_rows, num_inputs), torch.randn(num_outputs, num_inputs)
    bias, other = torch.randn(num_outputs), torch.randn(num_rows, num_outputs)
    x, weight, bias, other = (drawn.to(dtype) for drawn in (x, weight, bias, other))
    packed, up = native.pack(weight, bias), native.pack(weight.flip(0), None)
    exact = x.double() @ weight.double().T + bias.double()
    gated = x.double() @ weight.flip(0).double().T
    for result, expected in (
        (packed.product(x), exact),
        (packed.add(x, other.clone()), exact + other),
        (packed.activate(x, "silu"), F.silu(exact)),
        (packed.activate(x, "gelu_tanh"), F.gelu(exact, approximate="tanh")),
        (packed.gate(x, up, "silu"), F.silu(exact) * gated),
        (packed.gate(x, up, "gelu_tanh"), F.gelu(exact, approximate="tanh") * gated),
    ):
        assert result.dtype is dtype
        error, largest = (
            (result.double() - expected).abs(),
            expected.abs().amax() if num_rows else 0,
        )
        assert (error <= TOLERANCE[dtype] * largest).all()
    for row in range(0, num_rows, 50):
        assert torch.equal(packed.product(x[row : row + 1]), packed.product(x)[row : row + 1])


@pytest.mark.usual_cases(2)
@needs_compiler
@pytest.mark.parametrize("num_rows", [1, 70, 700])
def test_experts_are_right_and_batch_invariant(kernels: Kernels, num_rows: int) -> None:
    torch.manual_seed(0)
    num_experts, num_columns, num_inner = 5, 64, 96
    experts = native.NativeExperts(num_experts, num_columns, num_inner, "silu", kernels.dtype)
    weights = []
    for i in range(num_experts):
        gate, up = torch.randn(2, num_inner, num_columns).to(kernels.dtype) / 8
        down = torch.randn(num_columns, num_inner).to(kernels.dtype) / 8
        experts.fill(i, gate, up, down)
        weights.append((gate.double(), up.double(), down.double()))
    x = torch.randn(num_rows, num_columns).to(kernels.dtype)
    ids, topk_weights = torch.randn(num_rows, num_experts).topk(3).indices, torch.rand(num_rows, 3)
    result, expected = experts(x, ids, topk_weights), torch.zeros(num_rows, num_columns).double()
    wide = x.double()
    for i, (gate, up, down) in enumerate(weights):
        own = (F.silu(wide @ gate.T) * (wide @ up.T)) @ down.T
        expected += own * (topk_weights * (ids == i)).sum(1, keepdim=True)
    error = (result.double() - expected).abs().max()
    assert error <= 2 * TOLERANCE[kernels.dtype] * expected.abs().max()
    for row in range(0, num_rows, 30):
        own = slice(row, row + 3)
        assert torch.equal(experts(x[own], ids[own], topk_weights[own]), result[own])


@needs_compiler
@pytest.mark.parametrize("kernels", ["narrow", "wide"], indirect=True)
def test_activations_are_exact_where_they_are_large_small_or_none(kernels: Kernels) -> None:
    values = torch.tensor([0.0, -0.0, 1e-30, -1e-30, 40.0, -40.0, 1e4, -1e4, 3e38, -3e38])
    values = torch.cat((values, torch.linspace(-90, 90, 4001)))[:, None]
    one = native.pack(torch.ones(1, 1), None)
    unchanged = native.pack(torch.zeros(1, 1), torch.ones(1))  # times 1, whatever the row
    silu, gelu = one.gate(values, unchanged, "silu"), one.gate(values, unchanged, "gelu_tanh")
    close = {"rtol": 3e-6, "atol": 1e-35}
    torch.testing.assert_close(silu.double(), F.silu(values.double()), **close)
    expected = F.gelu(values.double(), approximate="tanh")
    torch.testing.assert_close(gelu.double(), expected, rtol=3e-6, atol=1e-6)
    bad = torch.tensor([[float("nan")], [float("inf")]])
    assert one.gate(bad, one, "silu")[0].isnan()
    assert one.gate(bad, one, "silu")[1] == float("inf")


@pytest.mark.usual_cases(1)
@needs_compiler
@pytest.mark.parametrize("window", [None, 90])
@pytest.mark.parametrize("heads", [(4, 2), (40, 1)])
def test_attention_over_several_runs_of_keys_is_right_in_every_company(
    kernels: Kernels, heads: tuple[int, int], window: int | None
) -> None:
    torch.manual_seed(0)
    spans = [(490, 530, 32), (0, 300, 4), (700, 703, 3), (5, 6, 1)]
    case = build(spans, 24, heads, kernels.dtype, torch.device("cpu"), head_dim=40)
    starts = None if window is None else case.reach(window)
    for softcap in None, 2.0:
        plan = case.plan(starts=starts)
        out = attention(case.query, case.keys, case.values, plan, 0.2, softcap=softcap)
        check(out, exact(case, 0.2, starts, softcap))
    check_in_company(case, starts)


@needs_compiler
@pytest.mark.parametrize("kernels", ["narrow", "wide"], indirect=True)
@pytest.mark.parametrize("vocab", [1, 7, 16, 41, 1030, 3000])
def test_softmax_stats_are_those_of_torch(kernels: Kernels, vocab: int) -> None:
    torch.manual_seed(0)
    logits = 8 * torch.randn(70, vocab)
    logits[torch.rand(logits.shape) < 0.2] = -torch.inf
    logits[3] = -torch.inf
    logits[4], logits[5], logits[6] = 0.0, -60.0, 90.0
    logits[5, vocab // 2] = 60.0
    logits[6, -1] = -torch.inf
    token, best, others, below = softmax_stats(logits, with_below=True)
    expected = reference.softmax_stats(logits.double(), with_below=True)
    assert torch.equal(token, expected[0])
    assert torch.equal(best.double(), expected[1])
    torch.testing.assert_close(others, expected[2], rtol=1e-5, atol=1e-30)
    torch.testing.assert_close(below, expected[3], rtol=1e-5, atol=1e-30)
    for row in 0, 3, 5, 69:
        alone = softmax_stats(logits[row : row + 1], with_below=False)
        assert alone[3] is None
        pairs = zip(alone[:3], (token, best, others), strict=True)
        assert all(torch.equal(own[0], among[row]) for own, among in pairs)


@needs_compiler
@pytest.mark.usual_cases(1)
def test_rows_and_weights_may_have_any_strides(kernels: Kernels) -> None:
    torch.manual_seed(0)
    num_inputs = 32
    x = torch.randn(num_inputs, 8).to(kernels.dtype).T
    weight = torch.randn(num_inputs, 30).to(kernels.dtype).T
    other = torch.randn(30, 8).to(kernels.dtype).T
    packed = native.pack(weight, None)
    exact = x.double() @ weight.double().T
    bound = TOLERANCE[kernels.dtype] * exact.abs().max()
    assert (packed.product(x).double() - exact).abs().max() <= bound
    assert (packed.product(x[1:]).double() - exact[1:]).abs().max() <= bound
    total = exact + other
    assert (packed.add(x, other).double() - total).abs().max() <= bound


@needs_compiler
@pytest.mark.parametrize(
    ("x", "out"),
    [((3, 4), (3, 6)), ((3, 5), (3, 7)), ((3, 5), (2, 6)), ((5,), (3, 6))],
    ids=["inputs", "outputs", "rows", "dimensions"],
)
def test_rows_that_do_not_fit_are_refused(x: tuple[int, ...], out: tuple[int, ...]) -> None:
    packed = native.pack(torch.randn(6, 5), None)
    with pytest.raises(ValueError, match="rows"):
        packed.add(torch.zeros(x), torch.zeros(out))
    with pytest.raises(ValueError, match="float32"):
        packed.product(torch.zeros(3, 5, dtype=torch.float64))


@pytest.mark.exhaustive
@needs_compiler
@pytest.mark.parametrize(
    "flags",
    [
        *itertools.product(INSTRUCTIONS.values(), FORMATS.values()),
        (INSTRUCTIONS["AVX512"], FORMATS[torch.bfloat16], PAIRS),
        (INSTRUCTIONS["AVX512"], FORMATS[torch.bfloat16], TILES),
    ],
    ids=lambda flags: "".join(itertools.chain(*flags)),
)
def test_the_kernels_compile_for_every_cpu(flags: tuple[tuple[str]], tmp_path: Path) -> None:
    assert COMPILER is not None
    strict = "-Wall", "-Wextra", "-Werror"
    file = compiled_to(tmp_path, (*itertools.chain(*flags), *strict))
    assert file.exists()
    assert [file.name for file in tmp_path.iterdir()] == [file.name]


@needs_compiler
def test_the_layout_of_a_step_compiles_without_a_warning(tmp_path: Path) -> None:
    assert COMPILER is not None
    strict = *layout.FLAGS, "-Wall", "-Wextra", "-Werror"
    assert compile_to(tmp_path, COMPILER, strict, ("layout.c",)).exists()


@needs_compiler
def test_structured_output_compiles_without_a_warning(tmp_path: Path) -> None:
    assert COMPILER is not None
    strict = *automata.FLAGS, "-Wall", "-Wextra", "-Werror"
    assert compile_to(tmp_path, COMPILER, strict, automata.SOURCES).exists()


@needs_compiler
def test_kernels_are_compiled_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert COMPILER is not None
    file = compiled_to(tmp_path, INSTRUCTIONS["AVX2"])
    monkeypatch.setattr(subprocess, "run", None)
    assert compiled_to(tmp_path, INSTRUCTIONS["AVX2"]) == file


@needs_compiler
def test_a_shared_header_that_changes_compiles_other_folders_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert COMPILER is not None
    shared, other = tmp_path / "shared", tmp_path / "other"
    for folder in (shared, other):
        folder.mkdir()
    (other / "one.c").write_text('#include "number.h"\nint number(void) { return NUMBER; }\n')
    monkeypatch.setattr(compiler, "FOLDER", shared)
    numbers = []
    for number in (1, 2, 2):
        (shared / "number.h").write_text(f"#define NUMBER {number}\n")
        flags = ("-shared", "-fPIC", f"-I{shared}")
        file = compile_to(tmp_path / "cache", COMPILER, flags, ["one.c"], other)
        numbers.append(ctypes.CDLL(str(file)).number())
    assert numbers == [1, 2, 2]


def found_with(dtype: str = "float32", **environment: str) -> str:
    """True if another process finds kernels in this environment alone; and its log."""
    code = (
        "import logging; logging.basicConfig();"
        "import torch; from unmask_kernels.native.library import library;"
        f"print(library(torch.{dtype}) is not None)"
    )
    kernels = Path(library_module.__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(kernels), **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout + done.stderr


@pytest.mark.exhaustive
def test_without_a_compiler_there_are_no_kernels(tmp_path: Path) -> None:
    result = found_with(PATH=str(tmp_path), HOME=str(tmp_path))
    assert result == "False\n"


@pytest.mark.exhaustive
@needs_compiler
def test_kernels_are_off_where_the_environment_says_so(tmp_path: Path) -> None:
    assert COMPILER is not None
    own = {"PATH": str(Path(COMPILER).parent), "HOME": str(tmp_path)}
    assert found_with(**own) == "True\n"
    assert list((tmp_path / ".cache" / "unmask").iterdir())
    assert found_with(**own, UNMASK_NATIVE="0") == "False\n"


@pytest.mark.exhaustive
@needs_compiler
@pytest.mark.skipif("avx2" not in Path("/proc/cpuinfo").read_text(), reason="no AVX2")
def test_less_than_the_cpu_has_may_be_asked_for(tmp_path: Path) -> None:
    allowed = {"HOME": str(tmp_path), "ATEN_CPU_CAPABILITY": "avx2"}
    assert found_with("bfloat16", PATH="/bin:/usr/bin", **allowed) == "True\n"


@needs_compiler
def test_a_compiler_that_fails_is_told_and_torch_does_the_work(tmp_path: Path) -> None:
    broken = tmp_path / "cc"
    broken.write_text("#!/bin/sh\necho 'omp.h: No such file' >&2\nexit 1\n")
    broken.chmod(0o755)
    result = found_with(PATH="/bin:/usr/bin", HOME=str(tmp_path), CC=str(broken))
    assert result.startswith("False\n")
    assert "omp.h: No such file" in result


@pytest.mark.usual_cases(1)
@needs_compiler
@pytest.mark.parametrize("dtype", FORMATS)
def test_kernels_that_multiply_wrongly_are_told_and_not_used(
    dtype: torch.dtype,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    result = library(dtype)
    assert result is not None
    assert multiplies(result, dtype)
    copied = tmp_path / "sources"
    shutil.copytree(FOLDER, copied)
    panels = copied / "panels.h"
    right, wrong = (
        "for (int64_t k = 0, wait = 0; k < inputs;",
        "for (int64_t k = PAIR, wait = 0; k < inputs;",
    )
    assert panels.read_text().count(right) == 1
    panels.write_text(panels.read_text().replace(right, wrong))
    tiles = copied / "amx.h"
    tiles.write_text(tiles.read_text().replace(right, wrong.replace("PAIR", "UNIT")))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert library(dtype, copied) is None
    assert "is wrong" in caplog.text


def test_memory_that_is_freed_goes_back_to_the_system() -> None:
    def resident() -> int:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) // 1024

    before = resident()
    held = [reserve((4, 2**20), torch.float32).fill_(1.0) for _ in range(4)]
    assert held[0].shape == (4, 2**20)
    assert held[0].sum() == 4 * 2**20
    assert resident() >= before + 60
    del held[::2]  # what is in between would keep it, had it been the heap's
    assert resident() < before + 36
    assert reserve((3,), torch.bfloat16).shape == (3,)
