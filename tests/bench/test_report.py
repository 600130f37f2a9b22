"""Results of several runs merge in one file."""

import json
import re
import threading
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.device.report import DeviceLost, Part, Report

ROOT = Path(__file__).parents[2]
HEAD: dict[str, Any] = {"taken": "now", "machine": {"gpu": "H100"}, "commit": "abc"}
CPU = torch.device("cpu")


def _run(out: Path, *parts: Part, head: dict[str, Any] = HEAD, budget_s: float = 60) -> Report:
    report = Report(head, CPU, budget_s, None, out)
    for part in parts:
        report.measure(part)
    report.write()
    return report


def _row(name: str, value: int, seconds: float = 0) -> Part:
    return Part(name, seconds, lambda: {"value": value}, "engine")


@pytest.mark.exhaustive
def test_a_second_run_adds_to_the_first_by_part(tmp_path: Path) -> None:
    out = tmp_path / "gpu.json"
    _run(out, _row("a", 1), _row("b", 2), Part("one", 0, lambda: {"x": 1}, "bits", single=True))
    _run(out, _row("b", 3), _row("c", 4), head=HEAD | {"commit": "def"})
    result = json.loads(out.read_text())
    assert [(row["part"], row["value"], row["run"]) for row in result["engine"]] == [
        ("a", 1, 0),
        ("b", 3, 1),
        ("c", 4, 1),
    ]
    assert result["bits"] == {"x": 1}
    assert [run["commit"] for run in result["runs"]] == ["abc", "def"]
    assert set(result["seconds"]) == {"a", "b", "c", "one"}


def test_what_failed_or_was_skipped_is_told_until_it_is_measured(tmp_path: Path) -> None:
    out = tmp_path / "gpu.json"

    def fail() -> None:
        raise RuntimeError("no")

    report = _run(out, Part("a", 0, fail, "engine"), _row("b", 1, seconds=1e9))
    assert report.problems == ["a: RuntimeError: no"]
    result = json.loads(out.read_text())
    assert result["problems"] == [{"name": "a", "error": "RuntimeError: no"}]
    assert result["skipped"] == [{"name": "b", "reason": "no time left"}]
    report = _run(out, _row("a", 1), _row("b", 2))
    assert report.problems == []
    result = json.loads(out.read_text())
    assert result["problems"] == result["skipped"] == []


def test_a_part_that_is_left_out_keeps_its_earlier_result(tmp_path: Path) -> None:
    out = tmp_path / "gpu.json"
    _run(out, _row("a", 1))
    _run(out, _row("a", 2, seconds=1e9))
    result = json.loads(out.read_text())
    assert [row["value"] for row in result["engine"]] == [1]
    assert result["skipped"] == []


def test_a_list_becomes_as_many_rows(tmp_path: Path) -> None:
    part = Part("a", 0, lambda: [{"rows": 1}, {"rows": 2}], "products")
    report = _run(tmp_path / "gpu.json", part, part)
    assert [row["rows"] for row in report.result["products"]] == [1, 2]


def test_results_of_another_device_or_script_are_not_mixed_in(tmp_path: Path) -> None:
    out = tmp_path / "gpu.json"
    _run(out, _row("a", 1))
    with pytest.raises(ValueError, match="measured on H100, this is H200"):
        Report(HEAD | {"machine": {"gpu": "H200"}}, CPU, 60, None, out)
    out.write_text(json.dumps({"machine": {"gpu": "H100"}, "engine": []}))
    with pytest.raises(ValueError, match="older version"):
        Report(HEAD, CPU, 60, None, out)


def test_a_run_that_lost_its_device_goes_on_without_the_group(tmp_path: Path) -> None:
    out = tmp_path / "gpu.json"

    def fault() -> None:
        raise RuntimeError("illegal memory access")

    report = Report(HEAD, CPU, 60, None, out, is_alive=lambda: False)
    report.measure(_row("a", 1))
    report.group = ("b", "c")
    with pytest.raises(DeviceLost):
        report.measure(Part("b", 0, fault, "engine"))
    report = Report(HEAD, CPU, 60, None, out, resume=True)
    assert [report.wants(name) for name in "abcd"] == [False, False, False, True]
    assert report.problems == ["b: RuntimeError: illegal memory access"]
    report.measure(_row("d", 2))
    result = json.loads(out.read_text())
    assert [(row["part"], row["run"]) for row in result["engine"]] == [("a", 0), ("d", 0)]
    assert len(result["runs"]) == 1
    assert Report(HEAD, CPU, 60, None, out).wants("b")


def test_a_part_that_hangs_is_left(tmp_path: Path) -> None:
    out = tmp_path / "gpu.json"
    left = threading.Event()
    report = Report(HEAD, CPU, 60, None, out, least_limit_s=0.01)
    report.restart = left.set
    report.measure(Part("a", 0, lambda: left.wait(30), None))
    assert left.is_set()
    assert report.problems == ["a: took far too long and was left"]
    assert not Report(HEAD, CPU, 60, None, out, resume=True).wants("a")


def test_only_parts_that_were_asked_for_are_measured(tmp_path: Path) -> None:
    report = Report(HEAD, CPU, 60, "SDAR.*: 8 at", tmp_path / "gpu.json")
    assert report.measure(_row("SDAR-8B bf16: 8 at 1024", 1)) is not None
    assert report.measure(_row("SDAR-8B bf16: 128 at 1024", 1)) is None
    assert report.measure(Part("weights", 0, lambda: 5), needed=True) == 5


@pytest.mark.parametrize("page", ["README.md", "docs/reference/performance.md"])
def test_no_page_quotes_rates_that_were_counted_too_high(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    for file in (ROOT / "benchmarks" / "results").glob("gpu_*.json"):
        result = json.loads(file.read_text(encoding="utf-8"))
        if "engine" not in result or "runs" in result:
            continue
        assert "up to 1.2 times too high" in " ".join(result["notes"])
        for row in result["engine"]:
            assert f"| {row['tokens_per_s']:,.0f} |" not in text


def _result(name: str) -> Any:
    return json.loads((ROOT / "benchmarks" / "results" / name).read_text(encoding="utf-8"))


def test_figures_of_the_page_are_those_of_the_h100() -> None:
    page = (ROOT / "docs" / "reference" / "performance.md").read_text(encoding="utf-8")
    figures = re.findall(r"([\d,]+)\*{0,2}, (\d+)%", page)
    measured = {
        (f"{row['tokens_per_s']:,.0f}", f"{100 * row['share_of_best']:.0f}")
        for row in _result("gpu_h100.json")["engine"]
    }
    assert len(figures) > 40
    assert set(figures) - measured == set()


def test_ratios_to_lmdeploy_are_those_of_the_results() -> None:
    page = (ROOT / "docs" / "reference" / "performance.md").read_text(encoding="utf-8")
    rows = {row["part"]: row["tokens_per_s"] for row in _result("gpu_h100.json")["engine"]}
    theirs = {row["concurrency"]: row for row in _result("gpu_lmdeploy_h100.json")["loads"]}
    ratios = {
        (dtype, n): rows[f"SDAR-8B {dtype}, 32 by 4: {n} at 1024"] / theirs[n]["tokens_per_s"]
        for dtype in ("bf16", "fp8")
        for n in (8, 128)
    }
    ours = _result("gpu_http_h100.json")["loads"][0]["engine"]["overall_tokens_per_s"]
    text = " ".join(page.split())
    bf16 = f"{ratios['bf16', 8]:.2f} times that and 128 have {ratios['bf16', 128]:.2f} times"
    assert bf16 in text
    assert f"{ratios['fp8', 8]:.2f} and {ratios['fp8', 128]:.2f} times in FP8" in text
    assert f"{ours / theirs[128]['overall_tokens_per_s']:.2f} times its tokens/s" in text
