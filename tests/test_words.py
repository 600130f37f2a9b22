"""Rules of the written language: opening words of docstrings, width of prose."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = ("server/unmask", "kernels/unmask_kernels", "tests", "benchmarks", "training")
# Words that open a relative clause where a noun or a verb belongs.
RELATIVE_WORDS = frozenset(
    (
        *("As", "How", "Such", "That", "Those", "What", "When", "Where", "Whether", "Which"),
        *("Who", "Whose"),
    )
)
PAGES = (
    *("README.md", "CONTRIBUTING.md", "benchmarks/README.md", "training/README.md"),
    *(str(page.relative_to(ROOT)) for page in sorted((ROOT / "docs").rglob("*.md"))),
)
MAX_COLUMNS = 100
LINK = re.compile(r"!?\[[^\]]*\]\([^)]*\)[.,;:]?|!?\[[^\]]*\]\[[^\]]*\]|\[[^\]]+\]:\s+\S+|<\S+>")


def relative_openings(source: str) -> Iterator[tuple[int, str]]:
    """Line and first word of docstrings that open with a relative word."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        word = re.match(r"\w+", ast.get_docstring(node) or "")
        if word is not None and word[0] in RELATIVE_WORDS:
            yield node.body[0].lineno, word[0]


def wide_lines(text: str) -> Iterator[int]:
    """Numbers of prose lines over `MAX_COLUMNS`; code, tables and links alone are exempt."""
    fence = None
    for number, line in enumerate(text.splitlines(), start=1):
        stripped = line.strip()
        if mark := re.match(r"```+|~~~+", stripped):
            if fence is None:
                fence = mark[0]
            elif stripped == fence:
                fence = None
            continue
        is_code = fence is not None or line.startswith("    ")
        item = re.sub(r"^([-*+]|\d+\.)\s+", "", stripped)
        if is_code or stripped.startswith(("|", "<")) or LINK.fullmatch(item):
            continue
        if len(line) > MAX_COLUMNS:
            yield number


@pytest.mark.parametrize("folder", SOURCES)
def test_no_docstring_opens_with_a_relative_word(folder: str) -> None:
    openings = [
        f"{file.relative_to(ROOT)}:{line}: {word}"
        for file in sorted((ROOT / folder).rglob("*.py"))
        for line, word in relative_openings(file.read_text("utf-8"))
    ]
    assert not openings, "start with a noun or a verb:\n" + "\n".join(openings)


@pytest.mark.parametrize("page", PAGES)
def test_prose_wraps_at_100_columns(page: str) -> None:
    lines = [f"{page}:{number}" for number in wide_lines((ROOT / page).read_text("utf-8"))]
    assert not lines, "wrap these lines:\n" + "\n".join(lines)


@pytest.mark.parametrize(
    ("docstring", "is_relative"),
    [
        ("What is run.", True),
        ("Whether it runs.", True),
        ("Whatever.", False),
        ("Assert that it runs, where it can.", False),
        ("Rows, those of what is open.", False),
    ],
)
def test_only_the_opening_word_counts(docstring: str, is_relative: bool) -> None:
    source = f'"""Module."""\n\n\ndef run():\n    """{docstring}"""\n'
    assert [line for line, _ in relative_openings(source)] == [5] * is_relative


def test_code_tables_and_links_may_be_wide() -> None:
    wide = "x" * (MAX_COLUMNS + 1)
    exempt = f"```sh\n{wide}\n```\n    {wide}\n| {wide} |\n![{wide}]({wide})\n- [a]({wide})\n"
    assert not list(wide_lines(exempt))
    assert list(wide_lines(f"{exempt}{wide}\n- {wide}\n")) == [8, 9]
