"""Docstrings open with a noun or a verb; tests/test_prose.py has the rules of pages."""

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


def relative_openings(source: str) -> Iterator[tuple[int, str]]:
    """Line and first word of docstrings that open with a relative word."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        word = re.match(r"\w+", ast.get_docstring(node) or "")
        if word is not None and word[0] in RELATIVE_WORDS:
            yield node.body[0].lineno, word[0]


@pytest.mark.parametrize("folder", SOURCES)
def test_no_docstring_opens_with_a_relative_word(folder: str) -> None:
    openings = [
        f"{file.relative_to(ROOT)}:{line}: {word}"
        for file in sorted((ROOT / folder).rglob("*.py"))
        for line, word in relative_openings(file.read_text("utf-8"))
    ]
    assert not openings, "start with a noun or a verb:\n" + "\n".join(openings)


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
