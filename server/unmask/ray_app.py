"""Ray Serve application of the HTTP API: `serve run unmask.ray_app:build model.path=FOLDER`."""

import logging
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI

from unmask.api.app import create_app
from unmask.cli.checks import check_server
from unmask.cli.output import set_up_logging
from unmask.config import Config
from unmask.engine.process.client import ProcessEngine
from unmask.errors import InvalidConfig
from unmask.metrics import Metrics
from unmask.options import OPTIONS
from unmask.settings import resolve

if TYPE_CHECKING:
    from ray.serve import Application

logger = logging.getLogger(__name__)

NAME = "unmask"
FILE = "config"  # the argument that names a file of settings
# Settings of [server] that are of its listener, in whose place Ray has a proxy of its own.
RAYS_OWN = (
    *("host", "port", "uds", "health_port", "tls_cert_file", "tls_key_file", "keep_alive_s"),
    *("header_timeout_s", "body_timeout_s", "write_timeout_s", "max_header_kib", "api_processes"),
    *("max_connections", "backlog", "drain_delay_s", "status_interval_s"),
)
SPARE_REQUESTS = 100  # so that the engine refuses what is too much, and not Ray's proxy delays it


class Replica:
    """One server of the model, with engines in processes of their own, without a listener."""

    def __init__(self, config: Config) -> None:
        """Load the model, which may take minutes; Ray routes no request here before."""
        server = config.server
        set_up = partial(set_up_logging, server.log_level, server.log_format)
        set_up()
        metrics = Metrics()
        self._engine = ProcessEngine.start(config, metrics, set_up=set_up)
        self._app = create_app(self._engine, metrics, server)
        logger.info("%s is served by a replica of Ray Serve", self._engine.model.name)

    def __serve_build_asgi_app__(self) -> FastAPI:
        """The application, as Ray asks for it once."""
        return self._app

    def check_health(self) -> None:
        """Raise if the engines were given up: Ray starts another replica."""
        status = self._engine.status()
        if status.state == "failed":
            raise RuntimeError(status.detail)

    def __del__(self) -> None:
        if hasattr(self, "_engine"):
            self._engine.shutdown()


def build(args: Mapping[str, Any]) -> "Application":
    """A deployment named `unmask` of the settings in `args`, by names such as `model.path`.

    `config` names a file of settings. Raises `InvalidConfig`.
    """
    from ray import serve

    config = config_of(args)
    deployment = serve.deployment(
        serve.ingress()(Replica),
        name=NAME,
        max_ongoing_requests=max_ongoing_requests(config),
        graceful_shutdown_timeout_s=config.server.shutdown_timeout_s,
    )
    return deployment.bind(config)


def max_ongoing_requests(config: Config) -> int:
    """Requests that Ray hands to a replica: more than run and wait, so that the engine refuses."""
    num_running = config.engine.max_num_seqs * config.server.data_parallel
    return num_running + config.engine.max_queue + SPARE_REQUESTS


def config_of(args: Mapping[str, Any]) -> Config:
    """The configuration of settings by name, of the environment and of a file."""
    flags, known = dict(args), {option.name for option in OPTIONS}
    file = flags.pop(FILE, None)
    unknown = sorted(flags.keys() - known)
    if unknown:
        raise InvalidConfig(f"{unknown[0]} is not a setting; they have names such as model.path")
    resolved = resolve(flags, file=None if file is None else Path(file))
    for key in RAYS_OWN:
        if f"server.{key}" in resolved.sources:
            raise InvalidConfig(f"server.{key} has no effect here: it is set for Ray Serve's proxy")
    if resolved.config.server.engine == "thread":
        raise InvalidConfig("server.engine must be process under Ray Serve")
    check_server(resolved.config.server)
    return resolved.config
