"""Parts of a run with their names and costs, and the file of their results.

A module that measures something else on the same device, such as another engine, offers
`parts(device, ceilings, small=...)`, which yields a `Part` for each measurement; `gpu.py` asks
`canvas`, `vision`, `peers` and `http` besides this one. Targets read rows of `peers` by `peer`,
`model`, `concurrency` and `tokens_per_s`, and rows of `http` by `concurrency` and
`share_of_engine`; other fields are kept and printed.
"""

import gc
import json
import re
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

Row = dict[str, Any]
LEAST_LIMIT_S = 60.0  # least limit of a part, besides three times its estimate
HEAD = ("taken", "machine", "versions", "commit", "uncommitted")


@dataclass(frozen=True)
class Part:
    """Measurement with its estimated seconds.

    A dict that it returns becomes a row of the list `into`, with the part's name as key; a list of
    dicts becomes as many rows. A `single` part is the value of `into`. Without `into` nothing is
    kept.
    """

    name: str
    seconds: float
    measure: Callable[[], Any]
    into: str | None = None
    single: bool = False


class DeviceLost(Exception):
    """Fault after which this process can no longer use the device."""


class Report:
    """Results and errors so far.

    Reads an existing `out`: new parts replace those of the same name, all others stay. With
    `resume` the last run continues: parts that it began are not repeated. Raises `ValueError` if
    the file is of another device or an older script.
    """

    def __init__(
        self,
        head: Row,
        device: torch.device,
        budget_s: float,
        only: str | None,
        out: Path | None,
        *,
        resume: bool = False,
        is_alive: Callable[[], bool] | None = None,
        least_limit_s: float = LEAST_LIMIT_S,
    ) -> None:
        self.started_s = time.monotonic()
        self.device = device
        self.budget_s = budget_s
        self.only = re.compile(only) if only else None
        self.out = out
        self.problems: list[str] = []  # of this run
        self.result: Row = {"runs": [], "problems": [], "skipped": [], "seconds": {}}
        if out is not None and out.exists():
            self.result = _earlier(out, head)
        self._is_alive = is_alive or self._answers
        self._least_limit_s = least_limit_s
        self.group: tuple[str, ...] = ()  # parts that are given up together
        self.restart: Callable[[], None] | None = None  # in another process, where that is possible
        if resume and self.result["runs"]:
            self.problems += [f"{one['name']}: {one['error']}" for one in self.result["problems"]]
        else:
            machine = {key: head[key] for key in HEAD if key in head}
            self.result |= machine
            self.result["runs"].append(machine | {"only": only, "begun": []})

    @property
    def left_s(self) -> float:
        """Seconds left of the budget."""
        return self.budget_s - (time.monotonic() - self.started_s)

    @property
    def run(self) -> Row:
        """Entry of this run."""
        return self.result["runs"][-1]

    def wants(self, name: str) -> bool:
        """True if a part was selected and not begun yet by this run."""
        fits = self.only is None or self.only.search(name) is not None
        return fits and name not in self.run["begun"]

    def give_up(self) -> None:
        """Skip all further parts of the group."""
        self.run["begun"] += [name for name in self.group if name not in self.run["begun"]]

    def skip(self, name: str, reason: str) -> None:
        """Report a part that was not measured, which is not a failure."""
        if name in self.result["seconds"]:
            return  # by an earlier run
        self._forget(name)
        self.result["skipped"].append({"name": name, "reason": reason})

    def fail(self, name: str, error: str) -> None:
        """Report a failed check."""
        self.problems.append(f"{name}: {error}")
        self.result["problems"].append({"name": name, "error": error[:500]})

    def measure(self, part: Part, *, needed: bool = False) -> Any:
        """Measure a part if there is time, and keep its result.

        A part that is `needed` for others does not have to be selected.
        """
        name = part.name
        if not (needed or self.wants(name)):
            return None
        if self.left_s < part.seconds:
            self.skip(name, "no time left")
            return None
        self._forget(name)
        if not needed:
            self.run["begun"].append(name)
            self.write()
        gc.collect()  # an engine and its metrics know each other, so the last one may be there yet
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        started_s = time.monotonic()
        result = None
        overdue = threading.Timer(self._least_limit_s + 3 * part.seconds, self._overdue, (name,))
        overdue.daemon = True
        if self.restart is not None:
            overdue.start()
        try:
            result = part.measure()
        except Exception as error:
            self.fail(name, f"{type(error).__name__}: {error}")
            traceback.print_exc()
            if not self._is_alive():
                self.give_up()
                self.write()
                raise DeviceLost(name) from error
        finally:
            overdue.cancel()
        print(f"[{time.monotonic() - self.started_s:5.0f} s] {name}", file=sys.stderr, flush=True)
        self.result["seconds"][name] = round(time.monotonic() - started_s, 1)
        if result is not None:
            self._keep(part, result)
        self.write()
        return result

    def write(self) -> None:
        """Write the results so far to the file."""
        if self.out is not None:
            self.out.write_text(json.dumps(self.result, indent=1) + "\n", encoding="utf-8")

    def _answers(self) -> bool:
        if self.device.type == "cuda":
            try:
                torch.cuda.synchronize()
            except RuntimeError:
                return False
        return True

    def _overdue(self, name: str) -> None:
        """Continue without a part that seems to hang."""
        assert self.restart is not None
        self.fail(name, "took far too long and was left")
        self.give_up()
        self.write()
        self.restart()

    def _keep(self, part: Part, result: Any) -> None:
        if part.into is None:
            return
        if part.single:
            self.result[part.into] = result
            return
        rows = result if isinstance(result, list) else [result]
        run = len(self.result["runs"]) - 1
        kept = [row for row in self.result.get(part.into, []) if row["part"] != part.name]
        self.result[part.into] = kept + [{"part": part.name, "run": run} | row for row in rows]

    def _forget(self, name: str) -> None:
        for kind in ("problems", "skipped"):
            self.result[kind] = [one for one in self.result[kind] if one["name"] != name]


def _earlier(out: Path, head: Row) -> Row:
    """Results of an earlier run on the same device."""
    result: Row = json.loads(out.read_text(encoding="utf-8"))
    if "runs" not in result:
        raise ValueError(f"{out} was written by an older version of this script")
    device, before = head["machine"]["gpu"], result["machine"]["gpu"]
    if device != before:
        raise ValueError(f"{out} was measured on {before}, this is {device}")
    return result
