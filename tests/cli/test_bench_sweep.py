"""`unmask bench` over several values and concurrencies."""

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.bench.fake_openai import FakeOpenAI, served
from tests.cli.running import unmask_here


@pytest.fixture
def prompts(tmp_path: Path) -> str:
    file = tmp_path / "prompts.txt"
    file.write_text("hello\nhow are you\n")
    return str(file)


def test_a_sweep_prints_a_table_and_writes_runs_and_a_picture(prompts: str, tmp_path: Path) -> None:
    result, picture = tmp_path / "result.json", tmp_path / "curve.svg"
    sizes = ["--num-requests", "4", "--warmup", "1", "--prompts", prompts, "--max-tokens", "5"]
    files = ["--json", str(result), "--plot", str(picture)]
    app = FakeOpenAI()
    with served(app) as url:
        swept = ["--sweep", "mode=ar,diffusion", "--concurrency", "1,2"]
        run = unmask_here("bench", "--url", url, *sizes, *swept, *files)
    assert run.returncode == 0, run.stderr
    head, *rows = (line.split() for line in run.stdout.splitlines())
    assert head[:3] == ["mode", "concurrency", "tokens/s"]
    assert [row[:2] for row in rows] == [
        ["ar", "1"],
        ["diffusion", "1"],
        ["ar", "2"],
        ["diffusion", "2"],
    ]
    assert [row[3] for row in rows] == ["3.00"] * 4  # tokens per forward
    assert sum(row[-1] == "best" for row in rows) == 2
    written = json.loads(result.read_text())
    assert [one["swept"] for one in written["runs"]] == [{"mode": "ar"}, {"mode": "diffusion"}] * 2
    assert [one["load"]["concurrency"] for one in written["runs"]] == [1, 1, 2, 2]
    assert [one["summary"]["num_completed"] for one in written["runs"]] == [4] * 4
    assert written["target"]["fields"] == {"max_tokens": 5}
    assert ElementTree.parse(picture).getroot().tag.endswith("svg")
    # Both prompts once, then four runs of a warm-up request and four measured ones.
    assert len(app.bodies) == 2 + 4 * 5
    assert [body["max_tokens"] for body in app.bodies] == [1] * 2 + [5] * 20


def test_random_prompts_are_new_in_every_run() -> None:
    app = FakeOpenAI()
    with served(app) as url:
        args = ["--random-len", "6", "--num-requests", "2", "--warmup", "0"]
        run = unmask_here("bench", "--url", url, *args, "--sweep", "steps=1,2")
    assert run.returncode == 0, run.stderr
    first, second = (
        {tuple(body["prompt"]) for body in app.bodies if body.get("steps") == steps}
        for steps in (1, 2)
    )
    assert len(app.bodies) == 4  # none is sent before
    assert len(first) == len(second) == 2
    assert not first & second


def test_one_run_has_one_result_and_sends_nothing_beside_its_requests(prompts: str) -> None:
    app = FakeOpenAI()
    with served(app) as url:
        args = ["--num-requests", "3", "--warmup", "0", "--prompts", prompts, "--concurrency", "2"]
        run = unmask_here("bench", "--url", url, *args, "--json", "-")
    result = json.loads(run.stdout)
    assert set(result) == {"unmask", "target", "load", "prompts", "slo", "summary"}
    assert result["load"]["concurrency"] == 2
    assert len(app.bodies) == 3


def test_a_sweep_with_a_run_without_answers_fails_and_says_why(tmp_path: Path) -> None:
    file = tmp_path / "prompts.txt"
    file.write_text("refuse\n")
    with served(FakeOpenAI()) as url:
        args = ["--num-requests", "2", "--warmup", "0", "--prompts", str(file)]
        run = unmask_here("bench", "--url", url, *args, "--sweep", "mode=ar,diffusion")
    assert run.returncode == 1
    assert "2 http_429" in run.stdout
    assert "too many" in run.stderr


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--sweep", "speed=1"], "--sweep takes FIELD=a,b,c"),
        (["--sweep", "mode=fast"], "mode must be one of diffusion, ar, self_speculation"),
        (["--sweep", "steps=2", "--steps", "4"], "steps is given twice"),
        (["--sweep", "steps=2", "--extra", '{"steps": 4}'], "steps is given twice"),
        (["--concurrency", "1,x"], "--concurrency takes numbers from 1 on, such as 1,4,16"),
        (["--rate", "2", "--sweep", "steps=2"], "--sweep and --plot go over --concurrency"),
        (["--rate", "2", "--plot", "a.svg"], "--sweep and --plot go over --concurrency"),
    ],
)
def test_a_wrong_sweep_is_one_line_and_exit_code_2(args: list[str], message: str) -> None:
    run = unmask_here("bench", "--url", "http://127.0.0.1:9", *args)
    assert run.returncode == 2
    assert message in run.stderr.splitlines()[-1]
