"""Pages list what there is, and nothing else: metrics, and the map of the code."""

import ast
import functools
import itertools
import re
from collections.abc import Iterator
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from tests.support.engines import ROOMY, make_engine
from unmask.api.unsupported import HINTS
from unmask.config import Config, ServerConfig
from unmask.engine.engine import Engine
from unmask.metrics import Metrics
from unmask.models.registry import LoadedModel

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "reference" / "metrics.md"
MAP = ROOT / "docs" / "architecture.md"
PACKAGES = (ROOT / "server" / "unmask", ROOT / "kernels" / "unmask_kernels")
MAX_LINES, MAX_COLUMNS = 150, 100
FENCE = re.compile(r"^```\n(.*?)^```$", re.DOTALL | re.MULTILINE)
PATH = re.compile(r"[\w./{},-]*(?:/|\.(?:py|c|h|md|toml|html))(?![\w./])")
# Names in brackets behind a path are defined in that file.
MEMBERS = re.compile(r"`([\w./]+\.py)`\s\(((?:`\w+`(?:,\s| or |\sand\s)?)+)\)")
NAME = re.compile(r"[A-Z]\w+(?:\.\w+)?")


def exported(engine: Engine) -> set[str]:
    families = text_string_to_metric_families(engine.metrics.render().decode())
    return {family.name + ("_total" if family.type == "counter" else "") for family in families}


def first_cells() -> list[str]:
    """The first cell of each row of the page's tables."""
    lines = PAGE.read_text().splitlines()
    return [line.split("|")[1] for line in lines if line.startswith("| `")]


def test_every_metric_is_explained(tiny: LoadedModel) -> None:
    found = {name for name in exported(make_engine(tiny)) if not name.startswith("process_")}
    documented = {name for cell in first_cells() for name in re.findall(r"`(unmask_\w+)", cell)}
    assert documented == found


def test_every_name_of_vllm_is_explained(tiny: LoadedModel) -> None:
    engine = Engine(Config(engine=ROOMY, server=ServerConfig(vllm_metrics=True)), tiny, Metrics())
    found = {name for name in exported(engine) if name.startswith("vllm:")}
    documented = {name for cell in first_cells() for name in re.findall(r"`(vllm:\w+)", cell)}
    assert documented == found


def test_every_field_without_effect_is_in_the_reference() -> None:
    page = (ROOT / "docs" / "reference" / "api.md").read_text()
    assert [name for name in HINTS if f"`{name}`" not in page] == []


def test_every_code_of_an_error_is_in_the_reference() -> None:
    page = (ROOT / "docs" / "reference" / "api.md").read_text()
    files = [file for name in ("api", "http") for file in (PACKAGES[0] / name).rglob("*.py")]
    codes = {c for file in files for c in re.findall(r'code="(\w+)"', file.read_text())}
    assert len(codes) > 15
    assert [code for code in sorted(codes) if f"`{code}`" not in page] == []


def test_every_result_is_explained() -> None:
    page = (ROOT / "benchmarks" / "README.md").read_text()
    named = [name.replace("NAME", "*") for name in re.findall(r"`(\w+\.json)`", page)]
    results = (ROOT / "benchmarks" / "results").glob("*.json")
    assert [file.name for file in results if not any(map(file.match, named))] == []


def spans() -> list[str]:
    """Inline code of the map, outside its drawings."""
    return re.findall(r"`([^`]+)`", FENCE.sub("", MAP.read_text()))


def drawn_paths() -> Iterator[tuple[str, str]]:
    """Paths of the drawings, each with the folder that its part of the tree is of."""
    for drawing in FENCE.findall(MAP.read_text()):
        folder = ""
        for line in drawing.splitlines():
            words = line.split()
            if re.match(r"[\w./]+/", line):
                folder = words[0]
            for word in words:
                if PATH.fullmatch(word) and not word.startswith("/"):
                    yield from ((path, folder) for path in alternatives(word))


def alternatives(path: str) -> list[str]:
    """`a_{b,c}.py` is two paths."""
    head, brace, rest = path.partition("{")
    inner, _, tail = rest.partition("}")
    return [head + part + tail for part in inner.split(",")] if brace else [path]


def found(path: str, folder: str = "") -> Path | None:
    """The file or folder of that path below one of the roots, or beside `folder`."""
    roots = [ROOT / folder, (ROOT / folder).parent] if folder else []
    return next((r / path for r in (*roots, ROOT, *PACKAGES) if (r / path).exists()), None)


@functools.cache
def definitions(file: Path) -> frozenset[str]:
    """Names that a file defines at its top, and `Class.member` for methods and fields."""
    names: set[str] = set()
    for node in ast.parse(file.read_text()).body:
        names |= {name.id for name in _targets(node)}
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        if isinstance(node, ast.ClassDef):
            members = [name.id for part in node.body for name in _targets(part)]
            members += [
                part.name
                for part in node.body
                if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef)
            ]
            names |= {f"{node.name}.{member}" for member in members}
    return frozenset(names)


def _targets(node: ast.stmt) -> list[ast.Name]:
    targets = node.targets if isinstance(node, ast.Assign) else []
    if isinstance(node, ast.AnnAssign):
        targets = [node.target]
    return [target for target in targets if isinstance(target, ast.Name)]


def test_every_path_of_the_map_exists() -> None:
    plain = {(span, "") for span in spans() if PATH.fullmatch(span)}
    paths = plain | set(drawn_paths())
    assert len(paths) > 100
    assert [path for path, folder in sorted(paths) if found(path, folder) is None] == []


def test_names_beside_a_path_of_the_map_are_defined_in_that_file() -> None:
    text = FENCE.sub("", MAP.read_text())
    named = [
        (path, name)
        for path, names in MEMBERS.findall(text)
        for name in re.findall(r"`(\w+)`", names)
    ]
    assert len(named) > 20
    for path, name in named:
        file = found(path)
        assert file is not None, path
        assert name in definitions(file), f"{path} does not define {name}"


def test_every_type_and_constant_of_the_map_is_defined_somewhere() -> None:
    files = [file for package in PACKAGES for file in package.rglob("*.py")]
    files += (ROOT / "tests" / "support").glob("*.py")
    known = set(itertools.chain.from_iterable(map(definitions, files)))
    names = {span for span in spans() if NAME.fullmatch(span) and not PATH.fullmatch(span)}
    assert len(names) > 20
    assert names - known == set()


def test_every_folder_of_the_packages_is_on_the_map() -> None:
    folders = {file.parent for package in PACKAGES for file in package.rglob("*.py")} | {
        PACKAGES[0] / "embedded"
    }
    named = {found(path, folder) for path, folder in drawn_paths()}
    assert {folder for folder in folders if folder not in named} == set()


def test_the_map_fits_a_few_screens() -> None:
    lines = MAP.read_text().splitlines()
    assert len(lines) <= MAX_LINES
    assert [line for line in lines if len(line) > MAX_COLUMNS] == []
