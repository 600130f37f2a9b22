"""The list of families is complete and equal in the command and in the docs."""

import json
import re
from itertools import combinations
from unittest import mock

from tests.cli.running import ROOT, unmask_here
from unmask.cli import output
from unmask.models.registry import FAMILIES, describe_census, describe_families

PAGE = (ROOT / "docs" / "reference" / "models.md").read_text()


def test_every_family_says_what_is_verified() -> None:
    families = describe_families()
    assert [family.name for family in families] == [family.name for family in FAMILIES]
    assert all(len(family.verified) > 10 for family in families)
    assert len({family.name for family in families}) == len(families)


def test_families_of_one_architecture_are_told_apart_by_fields() -> None:
    for one, other in combinations(FAMILIES, 2):
        if set(one.architectures) & set(other.architectures):
            values, others = one.fields.accepted, other.fields.accepted
            if any(
                all(value not in others[name] for value in values[name])
                for name in values.keys() & others
            ):
                continue
            assert one.fields.read - other.fields.read
            assert other.fields.read - one.fields.read


def printed(width: int, *args: str) -> str:
    """Output of `unmask models` in a terminal of so many columns."""
    with mock.patch.object(output.out, "_width", width):
        return unmask_here("models", *args).stdout


def test_the_command_lists_all_of_it() -> None:
    listed = json.loads(unmask_here("models", "--json").stdout)
    assert [entry["name"] for entry in listed] == [family.name for family in FAMILIES]
    table = printed(300)
    for entry in listed:
        for text in (entry["name"], entry["attention"], entry["verified"], *entry["architectures"]):
            assert text in table


def test_no_name_is_cut_in_a_narrow_terminal() -> None:
    assert "…" not in printed(60)


def test_the_page_has_the_same_table() -> None:
    rows = re.findall(r"^\| (.+?) \| (`.+?`) \| (.+?) \| (.+?) \|$", PAGE, re.MULTILINE)
    written = {
        name: (architectures, attention, text) for name, architectures, attention, text in rows
    }
    for family in describe_families():
        names = ", ".join(f"`{name}`" for name in family.architectures)
        assert written.pop(family.name) == (names, family.attention, family.verified)
    assert not {name for name in written if name in {family.name for family in FAMILIES}}


def test_the_census_is_in_the_command_and_on_the_page() -> None:
    rows = describe_census()
    listed = json.loads(unmask_here("models", "--census", "--json").stdout)
    assert [entry["name"] for entry in listed] == [row.name for row in rows]
    table = printed(400, "--census")
    assert "causal window" not in table  # families are not in it
    for row in rows:
        answer = "refused" if row.family is None else f"served by {row.family}"
        names = ", ".join(f"`{name}`" for name in row.architectures) or "-"
        assert f"| {row.name} | {names} | {answer} | {row.note or '-'} |" in PAGE
        for text in (row.name, answer, row.note, row.verified, *row.architectures):
            assert text in table
