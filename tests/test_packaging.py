"""Contents of the wheel, which is built without a network."""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import threading
import tomllib
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml

from tests.cli.running import ENVIRONMENT
from unmask import __version__

ROOT = Path(__file__).parent.parent
OLDEST = {
    "hatchling": "1.27",  # license files as a list
    "jinja2": "3.1.6",  # transformers asks for it at the first chat, and its metadata does not
    "pydantic": "2.9",  # `json_schema_input_type`
    "uvicorn": "0.36",  # `http` as the name of a class of ours
}


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    assert wheel.name == f"unmask-{__version__}-py3-none-any.whl"
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_older_versions_that_do_not_work_are_not_asked_for():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    project = settings["project"]
    wanted = project["dependencies"] + project["optional-dependencies"]["dev"]
    wanted += settings["build-system"]["requires"]
    wanted += re.findall(r"'(hatchling>=[\d.]+)'", (ROOT / "Dockerfile").read_text())
    assert {text for text in wanted if text.split(">=")[0] in OLDEST} == {
        f"{name}>={version}" for name, version in OLDEST.items()
    }


@pytest.mark.parametrize("source", ["server/unmask", "kernels/unmask_kernels"])
def test_every_file_of_both_packages_is_in_the_wheel(names, source):
    root = (ROOT / source).parent
    files = [file for file in (ROOT / source).rglob("*") if file.is_file()]
    expected = {str(f.relative_to(root)) for f in files if "__pycache__" not in f.parts}
    assert f"{Path(source).name}/py.typed" in expected
    assert expected <= names


def test_the_playground_is_in_the_wheel(names):
    assert {"unmask/api/playground.html", "unmask/api/playground_images.js"} <= names


def test_nothing_else_is_in_the_wheel(names):
    info = f"unmask-{__version__}.dist-info/"
    packages = ("unmask/", "unmask_kernels/", info)
    assert all(name.startswith(packages) for name in names)
    assert {info + "licenses/LICENSE", info + "entry_points.txt"} <= names


@pytest.mark.exhaustive
def test_the_source_distribution_has_the_tests_and_no_reference_tensors(tmp_path):
    command = [sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (file,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(file) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"pyproject.toml", "server/unmask/__init__.py", "tests/test_packaging.py"} <= names
    assert not any(name.startswith("tests/golden/") for name in names)
    assert file.stat().st_size < 30 * 2**20  # most of it the embedded model


@pytest.mark.slow
def test_a_cpu_needs_no_triton():
    """CUDA builds of torch include it, and it takes 1 GB."""
    code = (
        "import sys; sys.modules['triton'] = None; from unmask.cli.app import main; "
        "sys.argv = ['unmask', 'generate', 'What is 2 + 3?', '--max-tokens', '8']; main()"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=ENVIRONMENT, check=False
    )
    assert run.returncode == 0, run.stderr
    assert "5" in run.stdout


def test_what_is_imported_is_declared_and_what_is_declared_is_imported():
    """Except packages that are loaded by name, such as the event loop."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = {name.split(">=")[0].replace("-", "_") for name in project["dependencies"]}
    imported = set()
    for file in [*(ROOT / "server").rglob("*.py"), *(ROOT / "kernels").rglob("*.py")]:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                imported.add(node.module.split(".")[0])
    imported = {"pillow" if name == "PIL" else name for name in imported}
    imported -= {*sys.stdlib_module_names, "unmask", "unmask_kernels", "triton", "opentelemetry"}
    imported = {"pillow" if name == "PIL" else name for name in imported}
    parts = {"starlette", "pydantic_core"}  # of fastapi and pydantic
    by_name = {"uvloop", "httptools", "jinja2"}
    extras = {"ray"}
    assert imported - parts - extras <= declared
    assert declared - by_name <= imported


def environment_of(command: str) -> dict[str, str] | None:
    """Start environment of an interpreter, including pyenv's; None if it is not installed."""
    if shutil.which(command) is None:
        return None
    environments = [dict(os.environ)]
    if shutil.which("pyenv") is not None:
        listed = subprocess.run(["pyenv", "versions", "--bare"], capture_output=True, text=True)
        environments += [dict(os.environ) | {"PYENV_VERSION": v} for v in listed.stdout.split()]
    for environment in environments:
        run = subprocess.run([command, "-c", ""], capture_output=True, env=environment)
        if run.returncode == 0:
            return environment
    return None


@pytest.mark.exhaustive
@pytest.mark.parametrize("command", ["python3.12", "python3.13"])
def test_newer_pythons_compile_every_source_without_a_warning(command, tmp_path):
    environment = environment_of(command)
    if environment is None:
        pytest.skip(f"there is no {command}")
    environment["PYTHONPYCACHEPREFIX"] = str(tmp_path)
    sources = [str(ROOT / name) for name in ("server", "kernels")]
    run = subprocess.run(
        [command, "-W", "error", "-m", "compileall", "-q", *sources],
        capture_output=True, text=True, env=environment,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr


def test_the_changelog_knows_this_version_or_a_coming_one():
    text = (ROOT / "CHANGELOG.md").read_text()
    assert f"[{__version__}]" in text or "[Unreleased]" in text


def test_pins_are_what_the_project_asks_for():
    """All direct dependencies are pinned in one of the constraints files."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = project["dependencies"] + project["optional-dependencies"]["dev"]
    pins = [(ROOT / name).read_text() for name in ("constraints.txt", "constraints-cpu.txt")]
    pinned = {
        line.split("==")[0].lower().replace("_", "-") for text in pins for line in text.splitlines()
    }
    assert {name.split(">=")[0].lower().replace("_", "-") for name in wanted} <= pinned


def instructions() -> list[str]:
    """Instructions of the image's last stage, each on one line."""
    text = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
    lines = [" ".join(line.split()) for line in text.splitlines() if line and line[0] != "#"]
    last = max(i for i, line in enumerate(lines) if line.startswith("FROM "))
    return lines[last:]


def test_the_image_runs_as_a_user_without_rights_by_number():
    lines = instructions()
    (user,) = [line for line in lines if line.startswith("USER ")]
    assert user == "USER 10001:10001", "a number, which Kubernetes can tell from root"
    assert any("useradd" in line and "--uid 10001" in line for line in lines)
    after = lines[lines.index(user) + 1 :]
    assert not any(line.startswith(("RUN ", "COPY ", "ADD ")) for line in after)


class Health(BaseHTTPRequestHandler):
    """Answers `/health/ready` with the status of its server."""

    def do_GET(self) -> None:
        assert self.path == "/health/ready"
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def health_checks() -> dict[str, list[str]]:
    """Commands of the image's health check, and of the compose file's."""
    compose = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())
    (line,) = [line for line in instructions() if line.startswith("HEALTHCHECK ")]
    return {
        "image": json.loads(line.partition(" CMD ")[2]),
        "compose": compose["services"]["unmask"]["healthcheck"]["test"][1:],
    }


@pytest.mark.parametrize("source", ["image", "compose"])
def test_health_checks_ask_the_server_and_no_proxy(source):
    """Docker sets the variables of a proxy in every container, if its configuration has one."""
    python, flag, code = health_checks()[source]
    assert (python, flag) == ("python", "-c")
    variables = {"http_proxy": "http://127.0.0.1:9", "HTTP_PROXY": "http://127.0.0.1:9"}
    with ThreadingHTTPServer(("127.0.0.1", 0), Health) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        command = [sys.executable, "-c", code.replace("8000", str(server.server_port))]
        codes = []
        for server.status in (200, 503):
            run = subprocess.run(command, env=os.environ | variables, capture_output=True)
            codes.append(run.returncode)
        server.shutdown()
    assert codes == [0, 1]


def test_a_volume_on_the_hub_s_cache_belongs_to_the_user():
    """Docker gives an empty volume the owner that the folder has in the image, or else root."""
    (line,) = [line for line in instructions() if "useradd" in line]
    assert "install -d -o unmask -g unmask" in line
    assert "/home/unmask/.cache/huggingface" in line.split()


def test_the_image_has_the_packages_of_its_settings():
    assert "# UNMASK_SERVER_OTLP_ENDPOINT" in (ROOT / "deploy" / "compose.yaml").read_text()
    assert any("pip install" in line and "${wheel}[otel]" in line for line in instructions())


def test_the_image_writes_to_tmp_only_so_that_its_root_may_be_read_only():
    (environment,) = [line for line in instructions() if line.startswith("ENV ")]
    variables = dict(pair.split("=", 1) for pair in environment.split()[1:])
    caches = ("XDG_CACHE_HOME", "TRITON_CACHE_DIR")
    assert all(variables[name].startswith("/tmp/") for name in caches)
    assert variables["HF_HOME"].startswith("/home/"), "it would follow XDG_CACHE_HOME"
    assert variables["PYTHONDONTWRITEBYTECODE"] == "1"
    assert not any("KEY" in name or "TOKEN" in name for name in variables)
