"""Context of log lines: the id of the HTTP request that they are about.

Of all front ends only the HTTP server sets it, but formatters of every command read it.
"""

from contextvars import ContextVar

REQUEST_ID: ContextVar[str] = ContextVar("request_id", default="")
