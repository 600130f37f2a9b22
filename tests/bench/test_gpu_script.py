"""The GPU script's dry run covers all of it without a GPU."""

import json
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
import torch

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "gpu.py"


@pytest.mark.exhaustive
def test_a_dry_run_measures_everything(tmp_path: Path) -> None:
    out = tmp_path / "gpu.json"
    limit = ["--seconds", "5000"]  # beyond which parts are skipped, on however slow a machine
    command = [sys.executable, str(SCRIPT), "--dry-run", *limit, "--out", str(out)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    result = json.loads(out.read_text())
    assert result["problems"] == result["skipped"] == []
    assert len(result["attention_others"]) == 4
    for row in result["attention"] + result["attention_others"]:
        assert row["relative_error"] < 1e-2
    assert result["attention_same_bits_alone"] is True
    for row in result["unmasking"]:
        assert row["same_tokens"] == 1.0
        assert row["entropy_error"] < 1e-4
    assert [row["shape"]["held"] for row in result["experts"]] == [None, "fp8"]
    # Two products in e4m3, each with an error of 2.6% in what they multiply.
    allowed = {None: 2e-2, "fp8": 6e-2}
    assert all(r["relative_error"] < allowed[r["shape"]["held"]] for r in result["experts"])
    assert all(row["same_bits"] and row["relative_error"] < 1e-2 for row in result["fp8"])
    assert {row["name"] for row in result["layers"]} == {"rms_norm", "heads", "swiglu"}
    assert all(row["relative_difference"] < 1e-2 for row in result["layers"])
    assert [row["same"] for row in result["same_tokens"]] == [True, True]
    assert {row["model"] for row in result["engine"]} == {
        "tiny SDAR",
        "tiny LLaDA",
        "tiny LLaDA2",
        "tiny Nemotron",
        "tiny DiffusionGemma",
    }
    modes = {row["mode"] for row in result["engine"] if row["model"] == "tiny Nemotron"}
    assert modes == {"ar", "diffusion", "self_speculation"}
    for row in result["engine"]:
        assert 0 < row["share_of_possible"] <= 1
        assert row["problems"] == []
    staggered = [row for row in result["engine"] if row["concurrency"] > 1]
    assert all(len(set(row["phases"])) > 1 for row in staggered)
    assert {row["quantization"] for row in result["engine"]} == {"none", "fp8", "int4"}
    picture = ElementTree.parse(out.with_suffix(".svg"))
    dots = picture.findall(".//{http://www.w3.org/2000/svg}circle")
    parts = "attention", "attention_others", "unmasking", "experts", "engine"
    assert len(dots) == sum(len(result[part]) for part in parts)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is one")
def test_without_a_gpu_it_says_what_to_do() -> None:
    run = subprocess.run([sys.executable, str(SCRIPT)], capture_output=True, text=True, check=False)
    assert run.returncode == 2
    assert "--dry-run" in run.stderr


@pytest.mark.exhaustive
def test_a_plan_says_what_would_be_measured_and_for_how_long() -> None:
    command = [sys.executable, str(SCRIPT), "--plan", "--only", r"SDAR-8B fp8, 32 by 4: (8|32) at"]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    lines = run.stdout.splitlines()
    names = [line.split(maxsplit=3)[-1] for line in lines]
    assert [name.rpartition(": ")[2] for name in names[1:]] == [
        "weights",
        "start",
        "8 at 1024",
        "32 at 1024",
    ]
    seconds = [float(line.split()[2]) for line in lines]
    assert 0 < sum(seconds) < 60
    assert float(lines[-1].split()[0]) == pytest.approx(sum(seconds), abs=1)
