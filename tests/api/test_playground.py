"""The playground's page: widths, folding, contrast, words and prompts, read from its source."""

import re

import pytest


@pytest.fixture
def page(call) -> str:
    return call("GET", "/").text


def rules(page: str, selector: str) -> list[dict[str, str]]:
    """Declarations of every rule for exactly `selector`, in the page's order."""
    style = re.sub(r"/\*.*?\*/", "", page.partition("<style>")[2].partition("</style>")[0])
    bodies = re.findall(rf"(?:^|[}}{{])\s*{re.escape(selector)} {{([^{{}}]*)}}", style)
    pairs = [[item.partition(":") for item in body.split(";") if item.strip()] for body in bodies]
    return [{name.strip(): " ".join(value.split()) for name, _, value in rule} for rule in pairs]


def test_no_track_and_no_field_widens_a_narrow_page(page):
    tracks = re.findall(r"grid-template[\w-]*:([^;}]*)", page)
    assert len(tracks) > 3
    for track in tracks:
        assert "fr" not in re.sub(r"minmax\(0, 1fr\)", "", track), "1fr is as wide as its content"
    assert rules(page, "textarea, textarea:focus-visible")[0]["min-width"] == "0"
    assert rules(page, "#model")[0]["overflow-wrap"] == "anywhere"


def test_settings_are_folded_where_the_layout_is_a_phones(page):
    aside = page.partition("<aside")[2].partition("</aside>")[0]
    opening, inside = re.search(r"(<details[^>]*>)\s*(.*)</details>", aside, re.DOTALL).groups()
    assert 'id="settings"' in opening
    assert "open" not in opening
    assert len(re.findall(r"<(?:input|select)\b", inside)) == len(
        re.findall(r"<(?:input|select)\b", aside)
    )
    (asked,) = re.findall(r'matchMedia\("(\(max-width[^"]*)"\)', page)
    assert f"@media {asked}" in page, "folded at the width at which the layout changes"
    wide, narrow = rules(page, "#settings > summary")
    assert (wide["display"], narrow["display"]) == ("none", "list-item")
