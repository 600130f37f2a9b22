"""Images in the playground: its script in node, with a document and a server that stand in."""

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from unmask.api.images import MAX_IMAGES
from unmask.config import ServerConfig
from unmask.image_files import MEDIA_TYPES

HARNESS = Path(__file__).parents[1] / "support" / "playground_in_node.js"
MIB = 2**20
RED = {"name": "red.png", "type": "image/png", "width": 20, "height": 10, "bytes": 60}
BLUE = {"name": "blue.webp", "type": "image/webp", "width": 8, "height": 24, "bytes": 60}
LARGE = {"name": "large.png", "type": "image/png", "width": 3000, "height": 2000, "bytes": 5 * MIB}
SEND = """
const send = async (text, ...files) => {
  attach(files);
  fill(text);
  await $("ask").requestSubmit();
  while (controller) await new Promise((done) => setTimeout(done));
};
const urls = () => server.bodies.map((body) => body.messages.map(({ content }) =>
  typeof content === "string" ? content : content.map((part) => part.text ?? part.image_url.url)));
"""

needs_node = pytest.mark.skipif(shutil.which("node") is None, reason="needs node")


@pytest.fixture
def page(call) -> str:
    return call("GET", "/").text


@pytest.fixture
def play(call, tmp_path) -> Callable[..., Any]:
    """Runs a scenario after the page's script; `values` are names in it."""

    def run(scenario: str, config: ServerConfig | None = None, **values: object) -> Any:
        page = call("GET", "/", config).text
        paths = []
        for name in ("table", "prompts"):
            paths.append(tmp_path / name)
            pattern = rf'<script type="application/json" id="{name}">(.*?)</script>'
            paths[-1].write_text(re.search(pattern, page, re.DOTALL)[1])
        (script,) = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
        constants = "".join(f"const {k} = {json.dumps(v)};\n" for k, v in values.items())
        for name, text in (("script", script), ("scenario", constants + SEND + scenario)):
            (tmp_path / name).write_text(text)
        files = [tmp_path / "script", *paths, tmp_path / "scenario"]
        ran = subprocess.run(
            ["node", HARNESS, *files], capture_output=True, text=True, check=False, timeout=60
        )
        assert ran.returncode == 0, ran.stderr
        return json.loads(ran.stdout)

    return run


def url_of(file: dict[str, Any]) -> str:
    return f"data:{file['type']};base64,{file['name']}".ljust(file["bytes"], "=")


def part(file: dict[str, Any]) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url_of(file)}}


@needs_node
def test_images_go_before_the_text_of_their_message_and_stay_in_the_conversation(play):
    first, second = play(
        'await send("Which color?", RED, BLUE); await send("And now?"); return server.bodies;',
        **{"RED": RED, "BLUE": BLUE},
    )
    content = [part(RED), part(BLUE), {"type": "text", "text": "Which color?"}]
    assert first["messages"] == [{"role": "user", "content": content}]
    assert second["messages"] == [
        {"role": "user", "content": content},
        {"role": "assistant", "content": "seen"},
        {"role": "user", "content": "And now?"},
    ]


@needs_node
def test_a_message_may_be_an_image_alone(play):
    (body,) = play('await send("", RED); return server.bodies;', RED=RED)
    assert body["messages"] == [{"role": "user", "content": [part(RED)]}]


@needs_node
def test_the_message_shows_its_images_with_their_names(play):
    scenario = """await send("look", RED); const [article] = $("log").children;
    return article.querySelectorAll("img").map(({ src, alt }) => [src, alt]);"""
    assert play(scenario, RED=RED) == [[url_of(RED), RED["name"]]]


@needs_node
def test_images_are_scaled_down_where_the_body_would_be_too_long(play):
    scenario = 'await send("a", LARGE, RED); return urls();'
    ((content,),) = play(scenario, LARGE=LARGE, RED=RED)
    scaled, small, text = content
    assert (small, text) == (url_of(RED), "a")
    assert scaled.startswith("data:image/jpeg;base64,")
    assert len(scaled) == 1536 * 1024
    roomy = ServerConfig(max_body_mib=8)
    ((content,),) = play(scenario, roomy, LARGE=LARGE, RED=RED)
    assert content[0] == url_of(LARGE)


@needs_node
def test_earlier_images_make_room_for_later_ones(play):
    whole = LARGE | {"bytes": 3 * MIB}
    scenario = 'await send("a", WHOLE); await send("b", LARGE); return urls();'
    first, second = play(scenario, WHOLE=whole, LARGE=LARGE)
    assert first == [[url_of(whole), "a"]]
    assert [len(content[0]) for content in (second[0], second[2])] == [1536 * 1024] * 2


@needs_node
@pytest.mark.parametrize(
    ("file", "problem"),
    [
        (RED | {"type": "text/plain"}, "red.png is not an image of the type PNG, JPEG, WEBP, GIF"),
        (RED | {"width": 0}, "red.png cannot be read as an image"),
        (LARGE, "large.png does not fit: a conversation may have 1 MiB in all"),
    ],
)
def test_a_file_that_cannot_be_sent_is_told_in_a_line_and_left_out(play, file, problem):
    scenario = """attach([FILE, BLUE, FILE]); await reading;
    return [$("refused").textContent, attached.map(({ name }) => name)];"""
    told, names = play(scenario, ServerConfig(max_body_mib=1), FILE=file, BLUE=BLUE)
    assert (told, names) == (f"{problem} (and 1 more)", ["blue.webp"])


@needs_node
def test_a_conversation_has_no_more_images_than_a_request_may_have(play):
    scenario = """await send("a", RED); attach(Array(MOST).fill(RED)); await reading;
    return [$("refused").textContent, attached.length];"""
    told = f"a conversation may have {MAX_IMAGES} images"
    assert play(scenario, RED=RED, MOST=MAX_IMAGES) == [told, MAX_IMAGES - 1]


@needs_node
def test_images_of_a_message_that_failed_go_back_with_its_text(play):
    scenario = """server.refusal = "no"; await send("a", RED); return [
      $("prompt").value, attached.length, messages.length];"""
    assert play(scenario, RED=RED) == ["a", 1, 0]


@needs_node
def test_a_removed_image_is_not_sent_and_focus_goes_to_the_next(play):
    scenario = """attach([RED, BLUE]); await reading;
    $("attached").querySelectorAll("button")[0].click();
    const labels = [document.activeElement.title]; await send("a");
    return [labels, urls()];"""
    assert play(scenario, RED=RED, BLUE=BLUE) == [["Remove blue.webp"], [[[url_of(BLUE), "a"]]]]


@needs_node
@pytest.mark.parametrize(
    ("modalities", "mode", "hidden"),
    [
        (["text", "image"], "chat", False),
        (["text", "image"], "completion", True),
        (["text"], "chat", True),
    ],
)
def test_nothing_of_images_is_shown_where_none_are_taken(play, modalities, mode, hidden):
    scenario = """server.modalities = MODALITIES; chosen.value = MODE;
    await connect(); showMode();
    return [$("attach").hidden, $("attached").hidden, !showsImages()];"""
    assert play(scenario, MODALITIES=modalities, MODE=mode) == [hidden] * 3


def test_nothing_of_images_is_shown_before_the_model_is_known(page):
    for name in ("attach", "attached", "refused", "files"):
        (tag,) = re.findall(rf'<[^>]*id="{name}"[^>]*>', page)
        assert tag.endswith(" hidden>")


def test_images_are_data_urls_for_the_policy_of_the_page_too(call):
    response = call("GET", "/")
    policy = response.headers["content-security-policy"]
    assert "img-src data:;" in policy
    assert "blob:" not in policy + response.text
    assert "createObjectURL" not in response.text


def test_the_page_attaches_the_types_that_the_server_reads(page):
    pattern = r'<script type="application/json" id="table">(.*?)</script>'
    table = json.loads(re.search(pattern, page, re.DOTALL)[1])
    assert table["images"]["types"] == [name for name in MEDIA_TYPES if name != "image/jpg"]
    assert table["max_body_bytes"] == 4 * MIB


def test_controls_of_images_have_names(page):
    assert 'aria-label="Attach images"' in re.search(r'<button[^>]*id="attach"[^>]*>', page)[0]
    assert 'aria-label="Attached images"' in re.search(r'<ul id="attached"[^>]*>', page)[0]
    assert 'role="alert"' in re.search(r'<p id="refused"[^>]*>', page)[0]
    assert 'button.setAttribute("aria-label", button.title);' in page
