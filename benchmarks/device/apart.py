"""Runs a module of this folder in a subprocess, so that its memory is freed."""

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.machine import ROOT

NUM_ERROR_LINES = 12
KILLED_S = 30.0


def run_apart(module: str, options: Sequence[str], timeout_s: float) -> dict[str, Any]:
    """JSON that `module` writes to the file of its `--out`.

    A module that leaves no file has a result with an `error`: its last lines of output. So does one
    that exceeds `timeout_s`, next to the results written by then.
    """
    with tempfile.TemporaryDirectory() as folder:
        out, log = Path(folder) / "result.json", Path(folder) / "log"
        command = [sys.executable, "-m", f"benchmarks.device.{module}", *options, "--out", str(out)]
        late = ""
        with log.open("w+") as said:
            process = subprocess.Popen(
                command, env=_environment(), stdout=said, stderr=subprocess.STDOUT
            )
            try:
                process.wait(timeout_s)
            except subprocess.TimeoutExpired:
                late = f"\nnot done after {timeout_s:g} s"
            finally:
                process.kill()
                process.wait(KILLED_S)
        result: dict[str, Any] = json.loads(out.read_text("utf-8")) if out.exists() else {}
        if late or not result:
            result.setdefault("error", last_lines(log.read_text(errors="replace") + late))
        return result


def last_lines(text: str) -> list[str]:
    """Last lines of an error, without color codes."""
    plain = re.sub(r"\x1b\[[0-9;]*m", "", text)
    return [line for line in plain.splitlines() if line.strip()][-NUM_ERROR_LINES:]


def _environment() -> dict[str, str]:
    """Environment of this process with import paths, and with Triton's compiled mode."""
    variables = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    paths = [str(ROOT), str(ROOT / "server"), str(ROOT / "kernels")]
    before = os.environ.get("PYTHONPATH")
    return variables | {"PYTHONPATH": os.pathsep.join([*paths, before] if before else paths)}
