"""What is in the wheel, which is built without a network."""

import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from unmask import __version__

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    assert wheel.name == f"unmask-{__version__}-py3-none-any.whl"
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


@pytest.mark.parametrize("source", ["server/unmask", "kernels/unmask_kernels"])
def test_every_file_of_both_packages_is_in_the_wheel(names, source):
    root = (ROOT / source).parent
    files = [file for file in (ROOT / source).rglob("*") if file.is_file()]
    expected = {str(f.relative_to(root)) for f in files if "__pycache__" not in f.parts}
    assert f"{Path(source).name}/py.typed" in expected
    assert expected <= names


def test_the_playground_is_in_the_wheel(names):
    assert "unmask/api/playground.html" in names


def test_nothing_else_is_in_the_wheel(names):
    info = f"unmask-{__version__}.dist-info/"
    packages = ("unmask/", "unmask_kernels/", info)
    assert all(name.startswith(packages) for name in names)
    assert {info + "licenses/LICENSE", info + "entry_points.txt"} <= names


def test_the_changelog_knows_this_version_or_a_coming_one():
    text = (ROOT / "CHANGELOG.md").read_text()
    assert f"[{__version__}]" in text or "[Unreleased]" in text


def test_pins_are_what_the_project_asks_for():
    """Every direct dependency is pinned in one of the constraints files."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = project["dependencies"] + project["optional-dependencies"]["dev"]
    pins = [(ROOT / name).read_text() for name in ("constraints.txt", "constraints-cpu.txt")]
    pinned = {
        line.split("==")[0].lower().replace("_", "-") for text in pins for line in text.splitlines()
    }
    assert {name.split(">=")[0].lower().replace("_", "-") for name in wanted} <= pinned
