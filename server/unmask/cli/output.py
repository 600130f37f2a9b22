"""Output of commands: results on stdout; logs, progress and errors on stderr."""

import json
import logging
import sys
from datetime import UTC, datetime

from rich.console import Console

from unmask.config import LogFormat, LogLevel

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)


class UtcFormatter(logging.Formatter):
    """Formatter with ISO 8601 times in UTC, to the millisecond."""

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802
        moment = datetime.fromtimestamp(record.created, UTC)
        return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


class TextFormatter(UtcFormatter):
    """Time, level, logger and message."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(name)s: %(message)s")


class JsonFormatter(UtcFormatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        entry = {
            "time": self.formatTime(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
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
