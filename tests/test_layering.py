"""Imports go down only; `ast` reads every file, so that those inside functions count too."""

import ast
import functools
import graphlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = {"unmask": ROOT / "server", "unmask_kernels": ROOT / "kernels"}

# Modules in a layer may import each other and everything below. The longest prefix decides.
LAYERS: tuple[tuple[str, ...], ...] = (
    ("unmask.__main__",),
    ("unmask.ray_app",),
    ("unmask.cli",),
    ("unmask.http",),
    ("unmask.api", "unmask.evaluation", "unmask.bench"),
    ("unmask.engine.process.child",),
    ("unmask.llm", "unmask.engine.async_engine", "unmask.engine.event_queues"),
    ("unmask.engine.engine",),
    ("unmask.engine.step_metrics",),
    ("unmask.engine.run", "unmask.engine.apply"),
    ("unmask.models",),
    ("unmask.engine.hub",),
    ("unmask.engine.process",),
    ("unmask.engine.schedule",),
    ("unmask.engine",),
    ("unmask.decoding",),
    ("unmask.settings",),
    ("unmask.options",),
    ("unmask.prompts",),
    ("unmask.client", "unmask.metrics", "unmask.usage", "unmask.vllm_metrics", "unmask.templates"),
    ("unmask.config", "unmask.tokenizer"),
    (
        *("unmask.byte_bpe", "unmask.byte_decoder", "unmask.id_tokenizer", "unmask.text_length"),
        *("unmask.chat_templates", "unmask.control_tokens", "unmask.recent_texts"),
        "unmask.stream_decoder",
    ),
    ("unmask.likelihood",),
    ("unmask.types",),
    ("unmask.refinement_options", "unmask.sampling_params"),
    ("unmask.parameter",),
    ("unmask.image_files",),
    ("unmask.bad_words", "unmask.grammar", "unmask.images", "unmask.value_types"),
    ("unmask.image_cubic", "unmask.image_fits", "unmask.template_file"),
    ("unmask.json_file",),
    ("unmask.errors",),
    ("unmask",),
    ("unmask_kernels",),
)
# The same inside unmask_kernels, where nothing is above a folder of kernels but what runs them.
# Only modules of one folder may import each other; see `test_kernels_import_downward`.
KERNEL_LAYERS: tuple[tuple[str, ...], ...] = (
    ("testing",),
    ("attention", "convolution", "noise", "policies"),
    ("scoring",),
    ("moe",),
    ("linear",),
    ("layers",),
    ("quantization",),
    ("dependent_launch", "philox", "philox_gpu"),
    ("dispatch",),
    ("native", "variant"),
)
# Siblings in one layer that know nothing of each other.
STRANGERS = (
    ("unmask.api", "unmask.evaluation"),
    ("unmask.api", "unmask.bench"),
    ("unmask.evaluation", "unmask.bench"),
    ("unmask.engine.run", "unmask.engine.apply"),
)
# What these may never import, directly or through each other: nothing of it is loaded with them.
WITHOUT = {
    "unmask.api": ("torch", "triton", "unmask.engine", "unmask.models"),
    "unmask.bench": ("torch", "transformers", "fastapi", "unmask.engine", "unmask.api"),
    "unmask.decoding": ("torch", "transformers", "unmask.engine", "unmask.models", "unmask.api"),
    "unmask.engine.schedule": ("torch",),
    "unmask.engine.process.client": ("torch", "unmask.models"),
    "unmask.engine.hub": ("torch", "unmask.models"),
    "unmask.engine.apply": ("torch",),
    "unmask.engine": ("fastapi", "pydantic", "starlette", "uvicorn"),
    "unmask.settings": ("torch", "transformers", "typer", "rich"),
    "unmask.llm": ("fastapi", "pydantic", "uvicorn", "typer"),
}
KERNELS_MAY_IMPORT = {"torch", "triton", "numpy", "unmask_kernels", *sys.stdlib_module_names}


def modules() -> Iterator[tuple[str, Path]]:
    for package, root in SOURCES.items():
        for file in sorted((root / package).rglob("*.py")):
            parts = file.relative_to(root).with_suffix("").parts
            yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), file


FILES = dict(modules())


@functools.cache
def imports_of(module: str, *, at_the_top: bool = False) -> frozenset[str]:
    """Modules that a module imports, other than for type checking; names become their module."""
    tree = ast.parse(FILES[module].read_text(encoding="utf-8"))
    found: set[str] = set()
    for node in _nodes(tree, at_the_top=at_the_top):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} has a relative import"
            assert node.module is not None
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                found.add(whole if whole in FILES else node.module)
    return frozenset(found)


def _nodes(tree: ast.AST, *, at_the_top: bool) -> Iterator[ast.AST]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if at_the_top and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        yield node
        yield from _nodes(node, at_the_top=at_the_top)


def within(module: str, prefix: str) -> bool:
    return module == prefix or module.startswith(prefix + ".")


def layer_of(module: str) -> int:
    found = [(len(p), i) for i, layer in enumerate(LAYERS) for p in layer if within(module, p)]
    return max(found)[1]


def loaded_with(module: str) -> set[str]:
    """Everything that importing a module imports, within this project's files."""
    seen: set[str] = set()
    open_ = {module}
    while open_:
        name = open_.pop()
        seen.add(name)
        parents = {name.rsplit(".", i)[0] for i in range(1, name.count(".") + 1)}
        if name in FILES:
            open_ |= (imports_of(name, at_the_top=True) | parents) - seen
    return seen


@pytest.mark.parametrize("module", sorted(FILES))
def test_imports_go_down(module):
    own = layer_of(module)
    for imported in imports_of(module):
        if imported.split(".")[0] in SOURCES and not within(imported, module):
            assert own <= layer_of(imported), f"{module} imports {imported}, which is above it"


def kernel_folder(module: str) -> str:
    """Folder or module directly below unmask_kernels."""
    return module.split(".")[1]


def kernels() -> list[str]:
    return [name for name in FILES if within(name, "unmask_kernels") and "." in name]


def test_kernels_import_downward():
    depth = {folder: i for i, layer in enumerate(KERNEL_LAYERS) for folder in layer}
    assert {kernel_folder(module) for module in kernels()} == set(depth)
    for module in kernels():
        folder = kernel_folder(module)
        for imported in imports_of(module):
            if imported.startswith("unmask_kernels."):
                other = kernel_folder(imported)
                goes_down = other == folder or depth[other] > depth[folder]
                assert goes_down, f"{module} imports {imported}, which is not below it"


def test_kernels_do_not_import_the_wrapper_that_launches_them():
    for module in kernels():
        below = f"unmask_kernels.{kernel_folder(module)}"
        is_kernel = any(within(module, f"{below}.{part}") for part in ("gpu", "cpu", "types"))
        assert not is_kernel or f"{below}.ops" not in imports_of(module), module


def test_no_modules_import_each_other_in_a_circle():
    graph = {module: imports_of(module) & FILES.keys() - {module} for module in FILES}
    try:
        tuple(graphlib.TopologicalSorter(graph).static_order())
    except graphlib.CycleError as error:
        pytest.fail(" imports ".join(error.args[1][::-1]))


def test_only_tools_of_testing_import_testing():
    for module in FILES:
        if "testing" not in module.split("."):
            assert not [name for name in imports_of(module) if "testing" in name.split(".")], module


@pytest.mark.parametrize(("first", "second"), STRANGERS)
def test_strangers_do_not_import_each_other(first, second):
    for one, other in ((first, second), (second, first)):
        for module in FILES:
            if within(module, one):
                assert not [name for name in imports_of(module) if within(name, other)], module


@pytest.mark.parametrize("prefix", sorted(WITHOUT))
def test_what_must_stay_light_loads_nothing_heavy(prefix):
    for module in (name for name in FILES if within(name, prefix)):
        for unwanted in WITHOUT[prefix]:
            heavy = [name for name in loaded_with(module) if within(name, unwanted)]
            assert not heavy or within(module, unwanted), f"{module} loads {heavy}"


def test_the_api_starts_without_torch():
    code = "import sys, unmask.api; print({'torch', 'triton'} & set(sys.modules))"
    paths = os.pathsep.join(str(root) for root in SOURCES.values())
    environment = os.environ | {"PYTHONPATH": paths}
    command = [sys.executable, "-c", code]
    assert subprocess.check_output(command, env=environment, text=True) == "set()\n"


def test_the_kernels_import_only_torch_triton_and_numpy():
    for module in (name for name in FILES if within(name, "unmask_kernels")):
        others = {name.split(".")[0] for name in imports_of(module)} - KERNELS_MAY_IMPORT
        assert not others, f"{module} imports {others}"


def test_there_is_no_package_below_tests_nor_a_package_called_kernels():
    assert not list((ROOT / "tests").rglob("__init__.py"))
    assert not (ROOT / "kernels" / "__init__.py").exists()


def test_no_file_is_longer_than_it_may_be():
    for module, file in FILES.items():
        limit = 500 if within(module, "unmask_kernels") else 400
        assert len(file.read_text(encoding="utf-8").splitlines()) <= limit, module
