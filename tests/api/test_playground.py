"""The playground's page: widths, folding, contrast, words and prompts, read from its source."""

import asyncio
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from unmask.api import create_app
from unmask.config import Config, DecodingConfig, ModelConfig, ServerConfig
from unmask.engine.async_engine import AsyncEngine
from unmask.engine.engine import Engine
from unmask.evaluation.checkers import check_all
from unmask.metrics import Metrics
from unmask.models.registry import EMBEDDED_NAME, load_model
from unmask.types import POLICY_NAMES

README = Path(__file__).parents[2] / "README.md"
SCHEMES = ("light", "dark")
READABLE = 4.5  # WCAG 2.2, 1.4.3
STEPS = [i / 20 for i in range(21)]
Color = tuple[float, ...]

CHAT, COMPLETION = "/v1/chat/completions", "/v1/completions"


@dataclass(frozen=True, slots=True)
class Known:
    """A prompt for the embedded model, and how its answer is checked."""

    prompt: str
    checker: str
    reference: str
    path: str = CHAT


KNOWN = (
    Known("Tell me a story about a fox named Mia.", "story", '{"name": "Mia", "animal": "fox"}'),
    Known(
        "Turn this into JSON: Nina is 34 years old, lives in Lisbon and works as a teacher.",
        "json",
        '{"name": "Nina", "age": 34, "city": "Lisbon", "job": "teacher"}',
    ),
    Known(
        "SQL: Show name and price from products where price is less than 50 sorted by price, "
        "first 10 rows.",
        "exact",
        "SELECT name, price FROM products WHERE price < 50 ORDER BY price LIMIT 10;",
    ),
    Known(
        "Write a Python function that reverses a string.",
        "python",
        json.dumps([["reverse_string('')", "''"], ["reverse_string('abc')", "'cba'"]]),
    ),
    Known(
        "A train leaves at 3:15 pm and takes 2 hours. When does it arrive?",
        "exact",
        "3 + 2 = 5. It is 5:15 pm.",
    ),
    Known(
        "Sort these numbers from largest to smallest: 31, 4, 159, 26, 535",
        "exact",
        "535, 159, 31, 26, 4",
    ),
    Known("Once upon a time there was a", "story", "{}", COMPLETION),
    Known("def add_5(x):\n", "python", json.dumps([["add_5(-7)", "-2"]]), COMPLETION),
    Known("47 + 85 =", "exact", "47 + 85 = 132", COMPLETION),
)


FILLED = {
    "Once upon a time there was a brave ___. Tom lived in a forest. One day Tom ____ in the grass.":
        r"Once upon a time there was a brave \w+ named Tom\. Tom lived in a forest\. One day Tom "
        r"found an? (?:\w+ )+in the grass\.",
    "def reverse_string(s):\n    return _______\n":
        r"def reverse_string\(s\):\n    return s\[::-1\]\n",
    "12 + 9 = ___": r"12 \+ 9 = 21",
}  # fmt: skip
"""Texts with gaps for the embedded model, and patterns of them when they are filled."""


@pytest.fixture
def page(call) -> str:
    return call("GET", "/").text


@pytest.fixture(scope="module")
def embedded() -> Iterator[AsyncEngine]:
    loaded = load_model(ModelConfig(), DecodingConfig())
    engine = AsyncEngine(Engine(Config(), loaded, Metrics()))
    yield engine
    engine.shutdown()


def rules(page: str, selector: str) -> list[dict[str, str]]:
    """Declarations of every rule for exactly `selector`, in the page's order."""
    style = re.sub(r"/\*.*?\*/", "", page.partition("<style>")[2].partition("</style>")[0])
    bodies = re.findall(rf"(?:^|[}}{{])\s*{re.escape(selector)} {{([^{{}}]*)}}", style)
    pairs = [[item.partition(":") for item in body.split(";") if item.strip()] for body in bodies]
    return [{name.strip(): " ".join(value.split()) for name, _, value in rule} for rule in pairs]


def color_of(page: str, variable: str, scheme: str) -> Color:
    """Red, green and blue, 0 to 1, of a `--name: light-dark(#..., #...)`."""
    light, dark = re.search(rf"{variable}: light-dark\((#\w+), (#\w+)\)", page).groups()
    digits = (light if scheme == "light" else dark)[1:]
    digits = "".join(2 * digit for digit in digits) if len(digits) == 3 else digits
    return tuple(int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4))


def guess_color(page: str, field: str, scheme: str, confidence: float) -> Color:
    """A color of the rule for guesses, a mixture of two by confidence."""
    (rule,) = rules(page, ".guess")
    pattern = (
        r"color-mix\(in srgb, var\((--[\w-]+)\) calc\(var\(--confidence\) \* 100%\), "
        r"var\((--[\w-]+)\)\)"
    )
    sure, unsure = re.fullmatch(pattern, rule[field]).groups()
    ends = zip(color_of(page, sure, scheme), color_of(page, unsure, scheme), strict=True)
    return tuple(confidence * a + (1 - confidence) * b for a, b in ends)


def contrast(first: Color, second: Color) -> float:
    """The contrast ratio of WCAG, 1 to 21."""

    def luminance(color: Color) -> float:
        red, green, blue = (
            v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in color
        )
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    low, high = sorted((luminance(first), luminance(second)))
    return (high + 0.05) / (low + 0.05)


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


def test_a_completion_goes_on_in_the_line_of_its_prompt(page):
    assert 'this.thoughts = make("div"' in page, "a block, empty or not, begins a line"
    assert rules(page, ".thoughts:empty") == [{"display": "none"}]


def test_an_answer_that_was_stopped_is_no_error(page):
    assert "answer.finish(problem, !stopped)" in page
    finish = page.partition("  finish(problem, wrong) {")[2].partition("\n  }\n")[0]
    assert 'wrong ? "note wrong" : "note"' in finish
    assert rules(page, ".note")[0]["color"] == "var(--soft)"


@pytest.mark.parametrize("scheme", SCHEMES)
def test_guesses_are_readable_however_unsure(page, scheme):
    for confidence in STEPS:
        text = guess_color(page, "color", scheme, confidence)
        assert contrast(text, guess_color(page, "background", scheme, confidence)) >= READABLE
    for name in (".guess", ".resolved"):
        assert all("opacity" not in rule for rule in rules(page, name))
    assert "style.opacity" not in page


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_surer_guess_stands_out_more(page, scheme):
    card = color_of(page, "--card", scheme)
    shades = [
        contrast(card, guess_color(page, "background", scheme, confidence)) for confidence in STEPS
    ]
    assert shades == sorted(shades)
    assert shades[-1] > 1.7 * shades[0]
    unsure, sure = (guess_color(page, "color", scheme, confidence) for confidence in (0, 1))
    assert contrast(unsure, sure) > 2


@pytest.mark.parametrize("scheme", SCHEMES)
def test_resolved_text_is_readable_and_marked_by_more_than_its_color(page, scheme):
    (rule,) = rules(page, ".resolved")
    assert rule["color"] == "var(--resolved)"
    assert "underline" in rule["text-decoration"]
    for background in ("--card", "--page"):
        colors = (color_of(page, name, scheme) for name in ("--resolved", background))
        assert contrast(*colors) >= READABLE


def test_the_legend_has_the_words_and_marks_of_the_answer_and_the_readme_its_words(page):
    legend = page.partition('<ul id="marks"')[2].partition("</ul>")[0]
    items = [
        " ".join(re.sub("<[^>]*>", "", item).split())
        for item in re.findall(r"<li>(.*?)</li>", legend, re.DOTALL)
    ]
    assert items == ["guess, unsure to sure", "resolved, not final yet", "final"]
    assert set(re.findall(r'class="(\w+)"', legend)) == {"guess", "resolved", "final"}
    assert 'token.resolved ? "resolved" : "guess"' in page
    readme = " ".join(README.read_text().split()).partition("watch blocks sharpen")[2]
    for words in ("shaded text is a guess", "resolved but not final yet", "plain text is final"):
        assert words in readme.partition("![")[0]


def script_of(page: str) -> str:
    (script,) = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    return script


def test_the_script_declares_each_name_once(page):
    found = re.findall(
        r"^(?:const|let|class|(?:async )?function\*?) ([\w$]+|\[[^\]]*\])",
        script_of(page),
        re.MULTILINE,
    )
    names = [name for part in found for name in re.findall(r"[\w$]+", part)]
    assert {"$", "TABLE", "modelId", "Answer", "chunksOf", "run"} <= set(names)
    assert len(names) == len(set(names)), "a name that is declared twice stops the whole script"


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node")
def test_the_script_is_javascript(page, tmp_path):
    path = tmp_path / "playground.js"
    path.write_text(script_of(page))
    run = subprocess.run(
        ["node", "--check", path], capture_output=True, text=True, check=False, timeout=60
    )
    assert run.returncode == 0, run.stderr


def prompts_of(page: str) -> dict[str, dict[str, list[str]]]:
    """The prompts to click, by model and mode."""
    pattern = r'<script type="application/json" id="prompts">(.*?)</script>'
    return json.loads(re.search(pattern, page, re.DOTALL)[1])


def test_the_page_has_every_policy_and_the_bounds_of_its_numbers(page):
    pattern = r'<script type="application/json" id="table">(.*?)</script>'
    table = json.loads(re.search(pattern, page, re.DOTALL)[1])
    assert [policy["name"] for policy in table["policies"]] == list(POLICY_NAMES)
    numbers = {p["name"]: p["number"] for p in table["policies"] if p["number"]}
    assert numbers == {
        **{name: name for name in ("threshold", "factor", "entropy_bound", "entropy_threshold")},
        **dict.fromkeys(("hierarchical", "local_leap", "klass", "credit", "dmax"), "threshold"),
        **dict.fromkeys(("remdm_cap", "remdm_rescale", "remdm_loop"), "eta"),
    }
    assert table["bounds"]["threshold"] == {"min": 0, "max": 1}
    assert table["bounds"]["factor"] == {"min": 0}
    inputs = re.findall(r'<input id="(\w+)" type="number"', page)
    assert set(inputs) <= set(table["bounds"])
    assert table["bounds"]["block_length"] == {"min": 1, "max": 1024}


def test_there_are_prompts_for_the_embedded_model_and_for_any(page):
    prompts = prompts_of(page)
    assert set(prompts) == {EMBEDDED_NAME, "*"}
    for modes in prompts.values():
        assert set(modes) == set(re.findall(r'name="mode" value="(\w+)"', page))
        assert all(len(set(texts)) == len(texts) >= 3 for texts in modes.values())
    gap = gap_of(page)
    assert all(gap.search(text) for modes in prompts.values() for text in modes["template"])
    paths = {"chat": CHAT, "completion": COMPLETION}
    own = prompts[EMBEDDED_NAME]
    offered = {text: path for mode, path in paths.items() for text in own[mode]}
    assert offered == {known.prompt: known.path for known in KNOWN}
    assert own["template"] == list(FILLED)


def test_the_embedded_model_answers_the_prompts_right(embedded):
    app = create_app(embedded, Metrics(), ServerConfig())

    async def ask(client: httpx.AsyncClient, known: Known) -> str:
        chat = {"messages": [{"role": "user", "content": known.prompt}]}
        asked = chat if known.path == CHAT else {"prompt": known.prompt}
        response = await client.post(known.path, json=asked | {"max_tokens": 256})
        (choice,) = response.json()["choices"]
        assert choice["finish_reason"] == "stop"
        if known.path == CHAT:
            return choice["message"]["content"]
        return known.prompt + choice["text"]

    async def ask_all() -> list[str]:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return await asyncio.gather(*(ask(client, known) for known in KNOWN))

    answers = asyncio.run(ask_all())
    pairs = list(zip(KNOWN, answers, strict=True))
    verdicts = check_all([(known.checker, answer, known.reference) for known, answer in pairs])
    assert not [answer for answer, right in zip(answers, verdicts, strict=True) if not right]


def gap_of(page: str) -> re.Pattern[str]:
    """The expression of gaps, which has the same meaning in JavaScript and in Python."""
    return re.compile(re.search(r"^const GAP = /(.*)/;", page, re.MULTILINE)[1])


def test_the_embedded_model_fills_the_gaps_right(embedded, page):
    app, gap = create_app(embedded, Metrics(), ServerConfig()), gap_of(page)

    def template_of(text: str) -> list[object]:
        parts = [part for part in gap.split(text) if part]
        return [
            {"hole": {"max_tokens": len(part.strip())}} if gap.fullmatch(part) else part
            for part in parts
        ]

    async def fill_all() -> list[str]:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            bodies = [{"template": template_of(text)} for text in FILLED]
            answers = [await client.post(COMPLETION, json=body) for body in bodies]
        return [answer.json()["choices"][0]["text"] for answer in answers]

    filled = asyncio.run(fill_all())
    pairs = zip(FILLED.values(), filled, strict=True)
    assert not [text for pattern, text in pairs if not re.fullmatch(pattern, text)]


def test_a_prompt_that_failed_goes_back_into_the_box(page):
    run = page.partition("async function run(text, pictures)")[2].partition("\n}\n")[0]
    assert re.search(
        r"const again = problem && .*;\n\s*if \(again && .*\) {\n\s*fill\(text\);", run
    )
    assert 'function fill(text) {\n  $("prompt").value = text;' in page


def test_an_answer_is_in_sight_before_it_is_asked_for(page):
    """Else its beginning is further below than what is followed."""
    script = script_of(page)
    shown, scrolled = "log.append(answer.article);", "log.scrollTop = log.scrollHeight;"
    asked = script.index("await fetch(isChat")
    assert script.index(shown) < script.index(scrolled) < asked


def body_of(page: str, head: str) -> str:
    """Body of a function at the top of the script."""
    _, mark, rest = script_of(page).partition(f"{head} {{\n")
    assert mark, head
    return rest.partition("\n}")[0]


def test_the_end_of_an_answer_moves_neither_focus_nor_scrolling_of_a_reader_elsewhere(page):
    end = body_of(page, "async function run(text, pictures)").partition(
        "const follows = isAtEnd();"
    )[2]
    end = end.partition("const stopped =")[2]
    assert end.index("const follows = isAtEnd();") < end.index("answer.finish(problem")
    assert "if (follows) log.scrollTop = log.scrollHeight;" in end
    assert re.search(r"if \(own\.includes\(document\.activeElement\)\) [^;]*\.focus\(\);", end)
    assert (end.count(".scrollTop ="), end.count(".focus()")) == (1, 1)


def test_controls_agree_with_the_fields_that_a_browser_restores(page):
    """Going back fills fields in without events of theirs."""
    restored = body_of(page, 'addEventListener("pageshow", () =>')
    assert "showNumber();\n  showMode();" in restored
    assert "hidden = !number" in body_of(page, "function showNumber()")
    assert "value" not in body_of(page, "function showNumber()").replace('$("policy").value', "")
    assert '$("max_tokens").disabled = ' in body_of(page, "function showMode()")
    assert '$("max_tokens").value ||= ' in body_of(page, "async function connect()")


def test_each_line_has_the_direction_of_its_script(page):
    assert rules(page, ".said, textarea") == [{"unicode-bidi": "plaintext"}]


def test_screen_readers_are_told_who_speaks(page):
    assert {'turn("user", "You")', 'turn("answer", "Answer")'} == set(
        re.findall(r"turn\(\"[^)]*\)", page)
    )
    assert 'article.setAttribute("aria-label", name);' in page
    assert '<span aria-hidden="true">░▒▓</span>' in page
