"""Pages of settings, flags and models are those that the tables of the code come to."""

import re

import pytest
import typer

from tests.test_prose import PAGES
from tools.reference import FOLDER, commands
from tools.reference import PAGES as WRITTEN
from unmask.cli.app import app
from unmask.options import OPTIONS


@pytest.mark.parametrize("name", WRITTEN)
def test_generated_pages_are_current(name: str) -> None:
    text = (FOLDER / name).read_text(encoding="utf-8")
    assert text == WRITTEN[name](), "run python -m tools.reference"


def test_every_setting_is_on_the_page_with_its_names() -> None:
    page = (FOLDER / "configuration.md").read_text(encoding="utf-8")
    for option in OPTIONS:
        for name in (option.flag, option.variable):
            assert re.search(rf"`{name}[`,]", page), name


def test_flags_of_commands_in_the_docs_exist() -> None:
    known: dict[str, set[str]] = {}
    for name, command in commands(typer.main.get_command(app)):
        options = {opt for p in command.params for opt in (*p.opts, *p.secondary_opts)}
        known.setdefault(name.split()[0], set()).update(options)
    lines = [line for page in PAGES for line in page.read_text(encoding="utf-8").splitlines()]
    used = [pair for line in lines for pair in re.findall(r"unmask (\w+)((?: [^`|)]+)?)", line)]
    flags = [(n, flag) for n, rest in used if n in known for flag in re.findall(r"--[\w-]+", rest)]
    assert len(flags) > 20
    assert [(name, flag) for name, flag in flags if flag not in known[name]] == []
