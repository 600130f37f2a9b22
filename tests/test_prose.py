"""Markdown of the repository: prose wraps at 100 columns, sentences open with their subject."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FOLDERS = ("docs", "benchmarks", "training", "server")
MAP = ROOT / "docs" / "architecture.md"  # tests/test_docs.py checks its shape
PAGES = sorted(
    {*ROOT.glob("*.md"), *(page for name in FOLDERS for page in (ROOT / name).rglob("*.md"))}
    - {MAP}
)
MAX_COLUMNS = 100
FENCED = re.compile(r"^( *)```.*?^\1```$", re.DOTALL | re.MULTILINE)
# A relative clause is no subject: "What is left is ..." is "The rest is ...".
OPENERS = re.compile(
    r"(?:^|[.!?:][*)]* )[*_]*((?:What|Where|Those|How|As|Which|Whether|Who|When)\b[^.]*)"
)
names = [str(page.relative_to(ROOT)) for page in PAGES]


def prose(page: Path) -> list[str]:
    """Lines of a page, empty in place of code and of tables."""
    text = FENCED.sub("", page.read_text(encoding="utf-8"))
    return ["" if re.match(r"\||    |<!--", line) else line for line in text.split("\n")]


def paragraphs(page: Path) -> Iterator[str]:
    """Paragraphs and items of lists, each on one line, headings left out."""
    for part in re.split(r"\n\s*\n|\n(?=\s*(?:[-*]|\d+\.) )", "\n".join(prose(page))):
        line = re.sub(r"^(?:[-*]|\d+\.) ", "", " ".join(part.split()))
        if line and not line.startswith("#"):
            yield line


@pytest.mark.parametrize("page", PAGES, ids=names)
def test_prose_wraps(page: Path) -> None:
    # A long address cannot be wrapped.
    long = [line for line in prose(page) if len(line) > MAX_COLUMNS and " " in line.strip("- ")]
    assert long == []


@pytest.mark.parametrize("page", PAGES, ids=names)
def test_no_sentence_opens_with_a_relative_clause(page: Path) -> None:
    assert [match for line in paragraphs(page) for match in OPENERS.findall(line)] == []
