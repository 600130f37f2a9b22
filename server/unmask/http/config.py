"""uvicorn's configuration, with the limits of connections."""

import logging
import math
import resource
from typing import Any

import uvicorn

from unmask.config import ServerConfig
from unmask.metrics import Metrics

logger = logging.getLogger(__name__)

# Descriptors for everything but connections: those beyond the limit and of the health port, whose
# limit is as low, copies of the listener, and engines.
OTHER_FILES = 384


class HttpConfig(uvicorn.Config):
    """Configuration that `GuardedProtocol` reads its limits from, and counts in."""

    def __init__(self, app: Any, limits: ServerConfig, metrics: Metrics) -> None:
        super().__init__(
            app,
            http="unmask.http.protocol:GuardedProtocol",
            loop="auto",  # uvloop if installed
            ws="none",
            lifespan="off",  # unused, and prints a traceback at a second Ctrl-C
            log_config=None,
            access_log=False,  # the application logs requests with their ids
            ssl_certfile=limits.tls_cert_file,
            ssl_keyfile=limits.tls_key_file,
            server_header=False,
            backlog=limits.backlog,
            timeout_keep_alive=math.ceil(limits.keep_alive_s),
        )
        self.limits = limits
        self.metrics = metrics


def raise_file_limit(num_connections: int) -> int:
    """Raise this process's limit of open files for so many connections; returns what it allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = num_connections + OTHER_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return num_connections
    allowed = max(1, soft - OTHER_FILES)
    logger.warning(
        "the system allows %d open files: at most %d connections, not %d; raise `ulimit -n`",
        *(soft, allowed, num_connections),
    )
    return allowed
