"""Commands of the README and the API reference do what the text says."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.readme import measured, replace_measured

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
PAGES = (README, ROOT / "docs" / "api.md")
DEFAULT_PORT = 8000


def blocks(language: str) -> list[str]:
    matches = []
    for page in PAGES:
        matches += re.findall(
            rf"^```{language}\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE
        )
    return matches


def scripts() -> list[str]:
    """Paragraphs of the shell blocks, except the one that serves."""
    paragraphs = [part.strip() for block in blocks("sh") for part in block.split("\n\n")]
    return [part for part in paragraphs if part and part != "make serve"]


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Shell environment in which `unmask` is this checkout's."""
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
    """Port of `make serve`, the first command of the README."""
    assert blocks("sh")[0].strip() == "make serve"
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


def run(command: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=240, check=False
    )


@pytest.mark.slow
@pytest.mark.parametrize("script", scripts())
def test_shell_commands_succeed(script: str, port: int, environment: dict[str, str]) -> None:
    script = script.replace(f"localhost:{DEFAULT_PORT}", f"localhost:{port}")
    script = script.replace("unmask bench", f"unmask bench --url http://localhost:{port}")
    done = run(["sh", "-ec", script], environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    assert '"error"' not in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("source", blocks("python"))
def test_python_examples_run(source: str, port: int, environment: dict[str, str]) -> None:
    source = source.replace(f"localhost:{DEFAULT_PORT}", f"localhost:{port}")
    done = run([sys.executable, "-c", source], environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_every_link_leads_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", page.read_text()):
            if not target.startswith("http"):
                assert (page.parent / target).exists(), (page.name, target)


def test_measured_figures_are_those_of_the_result_files() -> None:
    text = README.read_text()
    assert replace_measured(text, measured()) == text, "run python -m benchmarks.readme"
