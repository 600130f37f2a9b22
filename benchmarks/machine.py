"""Machine, versions and commit of a measurement."""

import os
from pathlib import Path
from typing import Any

from unmask.evaluation import machine

ROOT = Path(__file__).parent.parent


def describe() -> dict[str, Any]:
    """Machine, versions, commit and time, for the head of a result file.

    Without a git history, the environment variable COMMIT names the commit.
    """
    described = machine.describe()
    return described | {"commit": described["commit"] or os.environ.get("COMMIT", "")}
