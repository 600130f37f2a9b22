"""Output of commands: results on stdout; logs, progress and errors on stderr."""

import json
import logging
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import typer
from rich.console import Console

from unmask.config import LogFormat, LogLevel
from unmask.errors import InvalidConfig
from unmask.log_context import REQUEST_ID

STDOUT = Path("-")
out = Console(highlight=False, soft_wrap=True, emoji=False)
err = Console(stderr=True, highlight=False, soft_wrap=True, emoji=False)


def check_writable(*paths: Path | None) -> None:
    """Raise `InvalidConfig` for result files that cannot be written, before the work is done."""
    for path in paths:
        if path is None or path == STDOUT:
            continue
        if path.is_dir():
            reason = "it is a folder"
        elif not path.parent.is_dir():
            reason = f"there is no folder {path.parent}"
        elif not os.access(path if path.exists() else path.parent, os.W_OK):
            reason = "permission denied"
        else:
            continue
        raise InvalidConfig(f"cannot write {path}: {reason}")


def write_json(result: dict[str, Any], path: Path | None) -> None:
    """Write a result to a file, if any, or to stdout."""
    text = json.dumps(result, indent=2)
    if path == STDOUT:
        typer.echo(text)
    elif path is not None:
        path.write_text(text + "\n", encoding="utf-8")


class UtcFormatter(logging.Formatter):
    """Formatter with ISO 8601 times in UTC, to the millisecond."""

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802
        moment = datetime.fromtimestamp(record.created, UTC)
        return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


class TextFormatter(UtcFormatter):
    """Time, level, logger and message, with the id of the HTTP request if one is answered."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        line, request_id = super().formatMessage(record), REQUEST_ID.get()
        said = not request_id or f"request {request_id}" in line
        return line if said else f"{line}, request {request_id}"


class JsonFormatter(UtcFormatter):
    """One JSON object a line, with `fields` of the record and the id of the HTTP request."""

    def format(self, record: logging.LogRecord) -> str:
        entry: dict[str, object] = {
            "time": self.formatTime(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if request_id := REQUEST_ID.get():
            entry["request_id"] = request_id
        entry |= getattr(record, "fields", {})
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry, ensure_ascii=False)


def set_up_logging(level: LogLevel, form: LogFormat) -> None:
    """Send all loggers to stderr."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if form == "json" else TextFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    # Log lines of libraries are noise above the debug level.
    if level != "debug":
        for name in ("httpx", "httpcore", "asyncio", "uvicorn.error"):
            logging.getLogger(name).setLevel(logging.WARNING)
