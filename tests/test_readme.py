"""Every command of the README, the guides and the API's reference does as it says.

Commands run against one server of the embedded model. Some need a GPU, Docker, the hub or an
installation: those are parsed instead, so that each flag, value and file in them exists.
"""

import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
import tomllib
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.readme import measured, replace_measured
from tests.api.conftest import running
from tests.api.fake_client import ANSWER, FakeClient
from tests.cli.running import unmask_here
from tests.support.pictures import MODEL_OF_IMAGES, image_tokenizer, pixels, png
from unmask.api import create_app
from unmask.config import ServerConfig
from unmask.metrics import Metrics
from unmask.options import OPTIONS
from unmask.settings import to_toml
from unmask_kernels.policies.table import POLICIES

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
PAGES = (README, ROOT / "docs" / "reference" / "api.md", *(ROOT / "docs" / "guides").glob("*.md"))
DEFAULT_PORT = 8000
IMAGE = "chart.png"  # that examples read
# Beginnings of commands that are parsed and not run.
ELSEWHERE = ("kubectl", "yq", "serve run", "MODEL=")  # for a cluster, or with several containers
NOT_RUN = ("make", "pip", "docker", "unmask serve", "lm_eval", *ELSEWHERE)
OPTION = {option.flag: option for option in OPTIONS}


def blocks(language: str) -> list[str]:
    """Code of that language on all pages, each piece once."""
    fence = re.compile(rf"^```{language}\n(.*?)^```", re.DOTALL | re.MULTILINE)
    return list(dict.fromkeys(code for page in PAGES for code in fence.findall(page.read_text())))


def commands() -> list[str]:
    """Commands of the shell blocks, each with the lines that continue it, each once."""
    parts = (re.split(r"\n(?=[a-z])", block.strip()) for block in blocks("sh"))
    return list(dict.fromkeys(part.strip() for block in parts for part in block))


def python_examples(*, with_images: bool) -> list[str]:
    """Python code of all pages that reads an image, or that reads none."""
    return [code for code in blocks("python") if (IMAGE in code) is with_images]


def parsed_only() -> list[str]:
    return [command for command in commands() if command.startswith(NOT_RUN)]


def scripts() -> list[str]:
    return [command for command in commands() if not command.startswith(NOT_RUN)]


def usual(codes: list[str]) -> list[Any]:
    """Parameters of which those of the README are tried by every run."""
    readme = README.read_text()
    rare = pytest.mark.exhaustive
    return [pytest.param(code, marks=() if code in readme else rare) for code in codes]


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Environment of a shell that finds this checkout's `unmask`."""
    folder = tmp_path_factory.mktemp("bin")
    script = folder / "unmask"
    script.write_text(f'#!/bin/sh\nexec {sys.executable} -m unmask "$@"\n')
    script.chmod(0o755)
    clean = {name: value for name, value in os.environ.items() if not name.startswith("UNMASK_")}
    return clean | {
        "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": f"{ROOT / 'server'}{os.pathsep}{ROOT / 'kernels'}",
        "NO_COLOR": "1",
    }


@pytest.fixture(scope="module")
def port(environment: dict[str, str]) -> Iterator[int]:
    """`make serve`, the first command of the README, on a free port."""
    assert commands()[0] == "make serve"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        free: int = probe.getsockname()[1]
    command = ["make", "serve", "INSTALL=0", f"PYTHON={sys.executable}", f"ARGS=--port {free}"]
    server = subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        for _ in range(300):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{free}/health/ready", timeout=1).close()
                break
            except OSError:
                assert server.poll() is None, "the server ended"
                time.sleep(0.1)
        yield free
    finally:
        os.killpg(server.pid, signal.SIGINT)
        server.wait(timeout=30)


def run(
    command: list[str], environment: dict[str, str], folder: Path = ROOT
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


@pytest.mark.slow
@pytest.mark.parametrize("script", usual(scripts()))
def test_shell_commands_succeed(
    script: str, port: int, environment: dict[str, str], tmp_path: Path
) -> None:
    for path in ROOT.iterdir():  # a command may write beside what it reads
        (tmp_path / path.name).symlink_to(path)
    script = script.replace(f"localhost:{DEFAULT_PORT}", f"localhost:{port}")
    script = script.replace("unmask bench", f"unmask bench --url http://localhost:{port}")
    done = run(["sh", "-ec", script], environment, tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() or " >> " in script
    assert '"error"' not in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("source", usual(python_examples(with_images=False)))
def test_python_examples_run(source: str, port: int, environment: dict[str, str]) -> None:
    source = source.replace(f"localhost:{DEFAULT_PORT}", f"localhost:{port}")
    done = run([sys.executable, "-c", source], environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


@pytest.mark.parametrize("source", python_examples(with_images=True))
def test_python_examples_with_images_send_them(
    source: str, environment: dict[str, str], tmp_path: Path
) -> None:
    """The engine is a script: the embedded model takes no images."""
    engine = FakeClient(model=MODEL_OF_IMAGES, tokenizer=image_tokenizer())
    (tmp_path / IMAGE).write_bytes(png())
    with running(create_app(engine, Metrics(), ServerConfig())) as url:
        source = source.replace(f"http://localhost:{DEFAULT_PORT}", url)
        done = run([sys.executable, "-c", source], environment, tmp_path)
    assert done.stdout.strip() == ANSWER, done.stderr
    [request] = engine.requests
    assert [one.pixels for one in request.images] == [pixels(png())]


@pytest.mark.parametrize("command", parsed_only())
def test_commands_that_are_not_run_are_valid(
    command: str, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)  # commands name files in it
    words = shlex.split(command)
    if words[0] == "make":
        done = run(["make", "-n", *words[1:], "INSTALL=0", "PYTHON=python"], environment)
        assert done.returncode == 0, done.stderr
    elif words[0] == "pip":
        project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
        extras = [f"unmask[{extra}]" for extra in project["optional-dependencies"]]
        assert words[1] == "install"
        assert words[2] in (".", "lm_eval[api]", *extras)
    elif words[:2] == ["docker", "build"]:
        assert words[2:] == ["-t", "unmask", "."]
        assert (ROOT / "Dockerfile").is_file()
    elif command.startswith(ELSEWHERE):
        paths = [word for word in words if re.match(r"(deploy|configs)/", word)]
        assert all((ROOT / path).exists() for path in paths)
        assert paths or words[1:3] == ["create", "secret"]
    elif words[0] == "lm_eval":  # its requests are those of tests/api/test_lm_eval.py
        assert words[1:3] == ["--model", "local-completions"]
    elif words[0] == "docker":
        check_docker(words[1:])
    else:
        check_serve(words[2:])


def check_docker(words: list[str]) -> None:
    """`docker run` of the image that the page builds; the rest goes to its entry point."""
    before, after = words[: words.index("unmask")], words[words.index("unmask") + 1 :]
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert 'ENTRYPOINT ["unmask"]' in dockerfile
    assert before[0] == "run"
    assert "--gpus all" in " ".join(before)
    mounts = [before[i + 1] for i, word in enumerate(before) if word == "-v"]
    variables = [before[i + 1].split("=") for i, word in enumerate(before) if word == "-e"]
    assert f"{DEFAULT_PORT}:{DEFAULT_PORT}" in before
    assert f"EXPOSE {DEFAULT_PORT}" in dockerfile
    if after:
        assert after[0] == "serve"
        folders = [mount.split(":")[1] for mount in mounts]
        if ["HF_HUB_OFFLINE", "0"] in variables:  # it is downloaded into the volume
            assert re.fullmatch(r"[\w-]+/[\w.-]+", after[1])
            assert f"install -d -o unmask -g unmask /home/unmask/.cache {folders[0]}" in dockerfile
        else:
            assert after[1] in folders
        check_serve(after[1:])
    done = unmask_here("config", **({"UNMASK_SERVER_HOST": "::"} | dict(variables)))
    assert done.returncode == 0, done.stderr


def check_serve(words: list[str]) -> None:
    """`unmask config` takes the flags of `unmask serve` and checks their values; no model loads."""
    if words and not words[0].startswith("-"):
        words = ["--model", *words]
    done = unmask_here("config", *words)
    assert done.returncode == 0, done.stderr


def test_the_table_of_flags_has_ten_with_their_defaults() -> None:
    rows = re.findall(r"^\| `(--[a-z-]+)` \| (.+?) \| .+ \|$", README.read_text(), re.MULTILINE)
    assert len(rows) == 10
    for flag, default in rows:
        value = OPTION[flag].default
        assert default.strip("`") == ("unset" if value is None else to_toml(value).strip('"'))


def test_policies_are_counted() -> None:
    assert f"{len(POLICIES)} [policies]" in README.read_text()


def test_figures_of_the_h100_are_those_of_the_page_with_all() -> None:
    page = (ROOT / "docs" / "reference" / "performance.md").read_text()
    section = README.read_text().partition("## Numbers")[2].partition("<!-- measured -->")[0]
    rows = [row for row in section.splitlines() if re.match(r"\| (bfloat16|FP8)", row)]
    figures = [figure for row in rows for figure in re.findall(r"(?<=\| )[\d,]+(?= \|)", row)]
    assert len(figures) == 10
    for figure in figures:
        assert re.search(rf"\| \**{figure}\**, \d+%", page), figure


def test_measured_figures_are_those_of_the_result_files() -> None:
    text = README.read_text()
    assert replace_measured(text, measured()) == text, "run python -m benchmarks.readme"
