"""Log lines on stderr, for people or for collectors."""

import json
import logging
import sys
from datetime import UTC, datetime

from unmask.config import LogFormat, LogLevel


class UtcFormatter(logging.Formatter):
    """Times in UTC, to the millisecond."""

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802
        """The time of a record in ISO 8601."""
        moment = datetime.fromtimestamp(record.created, UTC)
        return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


class TextFormatter(UtcFormatter):
    """Time, level, logger and message on one line."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(name)s: %(message)s")


class JsonFormatter(UtcFormatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """The record with its traceback, if it has one."""
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
    """Send every logger to stderr."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if form == "json" else TextFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    # What libraries say of themselves interests only who debugs them.
    if level != "debug":
        for name in ("httpx", "httpcore", "asyncio", "uvicorn.error"):
            logging.getLogger(name).setLevel(logging.WARNING)
