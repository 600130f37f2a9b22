"""Dry runs of the Makefile; nothing is installed."""

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CI = ROOT / ".ci" / "run"


def dry_run(*args: str, **variables: str) -> subprocess.CompletedProcess[str]:
    # Flags of the make that runs these tests are not passed on.
    environment = {name: value for name, value in os.environ.items() if "MAKE" not in name}
    return subprocess.run(
        ["make", "-n", *args],
        cwd=ROOT,
        env=environment | variables,
        capture_output=True,
        text=True,
        check=False,
    )


def make(*args: str, **variables: str) -> str:
    run = dry_run(*args, **variables)
    assert run.returncode == 0, run.stderr
    return run.stdout


def test_a_new_environment_is_made_and_filled_first(tmp_path):
    lines = make("test", f"VENV={tmp_path}/venv")
    order = ["-m venv", "import torch", "torch==2.13.0", "-e '.[dev]'", "-m ruff check ."]
    order += ["-m ruff format --check", "-m mypy", "-m pytest"]
    places = [lines.index(word) for word in order]
    assert places == sorted(places)


@pytest.mark.parametrize("python", ["python3.11", "python3", "python"])
def test_an_environment_is_made_with_the_python_that_is_there(tmp_path, python):
    for name, program in (("sh", "sh"), ("make", "make"), (python, sys.executable)):
        (tmp_path / name).symlink_to(shutil.which(program) or program)
    lines = make("install", f"VENV={tmp_path}/venv", PATH=str(tmp_path))
    assert f"{tmp_path}/{python} -m venv {tmp_path}/venv" in lines


@pytest.mark.parametrize("folder", ["", "/home/me/my venv"])
def test_a_folder_that_would_be_none_or_several_is_refused(folder):
    run = dry_run("distclean", f"VENV={folder}")
    assert "VENV must be one folder without spaces" in run.stderr
    assert "rm -rf" not in run.stdout


def test_an_environment_that_is_complete_is_not_touched(tmp_path):
    for stamp in (".created", ".torch", ".installed"):
        (tmp_path / stamp).touch()
    assert "pip" not in make("serve", f"VENV={tmp_path}")


def test_changed_prerequisites_install_anew(tmp_path):
    for stamp in (".created", ".torch", ".installed"):
        (tmp_path / stamp).touch()
    assert "-e '.[dev]'" in make("test", f"VENV={tmp_path}", "-W", "pyproject.toml")


def test_nothing_is_installed_when_told_so():
    text = make("test", "INSTALL=0", "PYTHON=/opt/python")
    assert "pip" not in text
    assert "PYTHONPATH=server:kernels /opt/python -m pytest" in text


def test_compiled_modules_are_kept_as_they_are_not_compiled_when_they_are_installed(tmp_path):
    (tmp_path / "more.mk").write_text("show:\n\t@echo [$$PYTHONDONTWRITEBYTECODE]\n")
    run = subprocess.run(
        ["make", "-s", "-f", "Makefile", "-f", str(tmp_path / "more.mk"), "show"],
        cwd=ROOT,
        env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.stdout == "[]\n"


def test_all_tests_are_what_a_change_must_pass_and_the_exhaustive_ones():
    usual = make("test", "INSTALL=0", "PYTHON=python").splitlines()
    every = make("test-all", "INSTALL=0", "PYTHON=python").splitlines()
    assert every[:-1] == usual[:-1]
    assert "-m pytest" in every[-1]
    assert "-m 'exhaustive or not exhaustive'" in every[-1]
    assert "exhaustive" not in usual[-1]
    options = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]
    assert options["addopts"][-2:] == ["-m", "not exhaustive"]


def test_serve_passes_its_arguments_on():
    assert "-m unmask serve --port 9" in make("serve", "ARGS=--port 9", "INSTALL=0")


def test_every_target_is_explained():
    text = subprocess.check_output(["make", "-s", "help"], cwd=ROOT, text=True)
    targets = {line.split("\t")[0] for line in text.splitlines()}
    assert {"serve", "test", "test-all", "lint", "format", "bench"} <= targets
    assert {"train", "eval", "clean"} <= targets


def test_ci_runs_what_people_run():
    assert CI.stat().st_mode & 0o111
    assert CI.read_text().rstrip().endswith("exec make test")
