"""The hook that checks messages of commits, alone and on the commits of a branch."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
HOOK = ROOT / ".githooks" / "commit-msg"
# A hook or a rebase around these tests must not lead git to another repository.
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")} | {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_SYSTEM": os.devnull,
    "GIT_AUTHOR_NAME": "a",
    "GIT_AUTHOR_EMAIL": "a@b.c",
    "GIT_COMMITTER_NAME": "a",
    "GIT_COMMITTER_EMAIL": "a@b.c",
}
Git = Callable[..., str]
needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


def run_hook(*args: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(HOOK), *args]
    return subprocess.run(
        command, cwd=cwd, env=ENVIRONMENT, capture_output=True, text=True, check=False
    )


def check(message: str, folder: Path) -> subprocess.CompletedProcess[str]:
    file = folder / "COMMIT_EDITMSG"
    file.write_text(message)
    return run_hook(str(file), cwd=folder)


@pytest.mark.parametrize(
    "message",
    [
        "api: refuse unknown fields",
        "engine, kernels: move modules into folders\n\nA body that says why.\n",
        "models/llada2: read the router's bias",
        "docs: add a page\n\n" + "x" * 100 + "\n",
        "docs: cite the paper\n\nhttps://example.org/" + "x" * 120 + "\n",
        "api: refuse unknown fields\n\nWhy.\n# Please enter the commit message\n#\ta comment "
        + "x" * 99,
        "a: use " + "x" * 65,
        "Merge branch 'main'",
        'Revert "api: refuse unknown fields"',
        "fixup! api: refuse unknown fields",
    ],
)
def test_accepted_messages(message: str, tmp_path: Path) -> None:
    done = check(message, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("message", "problem"),
    [
        ("refuse unknown fields", "must be `area: imperative verb"),
        ("api:refuse unknown fields", "must be `area: imperative verb"),
        ("API: refuse unknown fields", "must be `area: imperative verb"),
        ("api: Refuse unknown fields", "must be `area: imperative verb"),
        ("api: refuse", "must be `area: imperative verb"),
        ("api: refused unknown fields", "'refused' is not a known imperative verb"),
        ("api: refuses unknown fields", "'refuses' is not a known imperative verb"),
        ("lint: no docstring for its own sake", "'no' is not a known imperative verb"),
        ("kernels: what is derived once is kept", "'what' is not a known imperative verb"),
        ("api: refuse unknown fields.", "must not end with a period"),
        ("a: use " + "x" * 66, "the subject has 73 characters"),
        ("api: refuse unknown fields\nWhy.", "second line must be blank"),
        ("api: refuse unknown fields\n\nWhy, " + "x" * 96, "a body line has 101 characters"),
    ],
)
def test_refused_messages_tell_the_problem(message: str, problem: str, tmp_path: Path) -> None:
    done = check(message, tmp_path)
    assert done.returncode == 1
    assert problem in done.stderr


@pytest.fixture
def git(tmp_path: Path) -> Git:
    """Runs git in a repository whose branch `main` is older than the hook."""

    def run(*args: str) -> str:
        return subprocess.check_output(
            ["git", *args], cwd=tmp_path, env=ENVIRONMENT, text=True, stderr=subprocess.PIPE
        )

    run("init", "--quiet", "--initial-branch=main")
    run("commit", "--quiet", "--allow-empty", "-m", "an old message")
    return run


def add_hook(git: Git, folder: Path, message: str = "ci: check messages") -> None:
    (folder / ".githooks").mkdir()
    shutil.copy(HOOK, folder / ".githooks" / "commit-msg")
    git("add", ".githooks")
    git("commit", "--quiet", "-m", message)


def commit(git: Git, message: str) -> None:
    git("commit", "--quiet", "--allow-empty", "--no-verify", "-m", message)


@needs_git
def test_commits_older_than_the_hook_are_exempt(git: Git, tmp_path: Path) -> None:
    assert run_hook("--since", "main", cwd=tmp_path).returncode == 0
    git("switch", "--quiet", "-c", "topic")
    commit(git, "another old message")
    add_hook(git, tmp_path)
    assert run_hook("--since", "main", cwd=tmp_path).returncode == 0


@needs_git
def test_every_commit_of_a_branch_is_checked(git: Git, tmp_path: Path) -> None:
    add_hook(git, tmp_path)
    git("switch", "--quiet", "-c", "topic")
    commit(git, "wrong")
    commit(git, "api: add a field")
    done = run_hook("--since", "main", cwd=tmp_path)
    assert done.returncode == 1
    assert ": wrong\n" in done.stderr
    assert "api: add a field" not in done.stderr


@needs_git
def test_without_a_branch_the_last_commit_is_checked(git: Git, tmp_path: Path) -> None:
    add_hook(git, tmp_path)
    commit(git, "wrong")
    assert run_hook("--since", "main", cwd=tmp_path).returncode == 1
    assert run_hook("--since", "no-such-branch", cwd=tmp_path).returncode == 1
    commit(git, "api: add a field")
    assert run_hook("--since", "main", cwd=tmp_path).returncode == 0


@needs_git
def test_merges_are_exempt(git: Git, tmp_path: Path) -> None:
    add_hook(git, tmp_path)
    git("switch", "--quiet", "-c", "topic")
    commit(git, "api: add a field")
    git("switch", "--quiet", "main")
    git("merge", "--quiet", "--no-ff", "-m", "whatever a forge writes", "topic")
    assert run_hook("--since", "main", cwd=tmp_path).returncode == 0


def test_nothing_is_checked_outside_a_checkout(tmp_path: Path) -> None:
    assert run_hook("--since", "main", cwd=tmp_path).returncode == 0


@needs_git
def test_git_runs_the_hook_before_a_commit(git: Git, tmp_path: Path) -> None:
    add_hook(git, tmp_path)
    git("config", "core.hooksPath", ".githooks")
    git("commit", "--quiet", "--allow-empty", "-m", "api: add a field")
    with pytest.raises(subprocess.CalledProcessError):
        git("commit", "--quiet", "--allow-empty", "-m", "added a field")


def install(folder: Path) -> None:
    command = ["make", "-f", str(ROOT / "Makefile"), "install", "INSTALL=0", "PYTHON=false"]
    environment = {name: value for name, value in ENVIRONMENT.items() if "MAKE" not in name}
    subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True)


@needs_git
def test_make_install_sets_the_hook_up_and_keeps_another(git: Git, tmp_path: Path) -> None:
    install(tmp_path)
    assert git("config", "core.hooksPath") == ".githooks\n"
    git("config", "core.hooksPath", "mine")
    install(tmp_path)
    assert git("config", "core.hooksPath") == "mine\n"


def test_make_install_succeeds_outside_a_checkout(tmp_path: Path) -> None:
    install(tmp_path)
    (tmp_path / ".git").write_text("gitdir: /nowhere\n")
    install(tmp_path)
