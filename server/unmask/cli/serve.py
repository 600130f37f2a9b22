"""`unmask serve`: the HTTP server."""

import contextlib
import json
import logging
import os
import signal
import sys
from dataclasses import replace
from functools import partial
from typing import Annotated

import typer

from unmask.cli.checks import check_model, check_server, check_tls
from unmask.cli.flags import with_config
from unmask.cli.loading import loading
from unmask.cli.output import err, out, set_up_logging
from unmask.config import Config, ServerConfig
from unmask.errors import InvalidConfig
from unmask.settings import SECTIONS, Resolved

logger = logging.getLogger(__name__)

LOOPBACK = ("localhost", "127.0.0.1", "::1")


@with_config(*SECTIONS)
def serve(
    *,
    model: Annotated[
        str | None,
        typer.Argument(
            help="Checkpoint folder or hub repository (org/name); if unset, the embedded model."
        ),
    ] = None,
    resolved: Resolved,
) -> None:
    """Serve a model over HTTP with an OpenAI-compatible API and a playground."""
    config = _with_model(resolved, model)
    server = config.server
    set_up_logging(server.log_level, server.log_format)
    check_model(config.model)
    server = guarded(server)
    logger.info("settings: %s", json.dumps(replace(resolved, config=config).to_dict()))

    # oneDNN caches compiled code a shape; its default of 1024 shapes takes over 100 MiB.
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "256")

    from unmask.cli.http import bind, run
    from unmask.cli.unix_socket import unix_listener
    from unmask.http.server import HttpServer

    if server.api_processes > 1:
        _serve_in_processes(replace(config, server=server))
        return

    # Before the slow imports, so that a taken port is reported at once.
    serving = contextlib.ExitStack()
    if server.uds is None:
        listener = bind(server.host, server.port)
        url = _url(server.host, listener.getsockname()[1], secure=server.tls_cert_file is not None)
    else:
        listener = serving.enter_context(unix_listener(server.uds))
        url = f"unix:{server.uds}"
    health = None if server.health_port is None else bind(server.host, server.health_port)

    from unmask.api.app import create_app, create_health_app
    from unmask.cli.starting import Engine, StartingEngine
    from unmask.cli.status_line import StatusLine
    from unmask.engine.process.client import ProcessEngine
    from unmask.http.health import HealthServer, LoopWatch
    from unmask.metrics import Metrics

    metrics, engine = Metrics(), StartingEngine(config.server.data_parallel)

    def load() -> Engine:
        with loading(engine.note) as progress:
            if server.engine == "process":
                set_up = partial(set_up_logging, server.log_level, server.log_format)
                return ProcessEngine.start(config, metrics, progress, set_up)
            from unmask.engine.async_engine import AsyncEngine  # imports torch, which takes seconds

            return AsyncEngine.start(config, metrics, progress)

    def begin(listening: HttpServer) -> None:
        if health is not None:
            probes = LoopWatch(
                create_health_app(engine, metrics, server), lambda: listening.sweeper.silence_s
            )
            serving.callback(HealthServer(probes, health, server).stop)
            logger.info("health and metrics: port %d", health.getsockname()[1])
        logger.info("listening on %s; requests get status 503 until the model is loaded", url)
        engine.load(load, lambda ready: _announce(url, ready.model.name), listening.stop)

    app, line = create_app(engine, metrics, server), StatusLine(metrics, engine.status).line
    with serving:
        stop_signal = run(
            *(app, listener, engine, server, metrics),
            on_listening=begin,
            line=line,
            leave=_exit_now,
        )
    engine.raise_failure()
    if engine.is_loading:  # the loading thread cannot be stopped
        _exit_now(128 + (stop_signal or signal.SIGINT))


def _serve_in_processes(config: Config) -> None:
    """Serve HTTP in processes of its own, before engines that this one has."""
    from unmask.cli.api_processes import ApiProcesses, shared_listener
    from unmask.cli.http import Report, bind
    from unmask.cli.starting import Engine, StartingEngine
    from unmask.cli.status_line import StatusLine
    from unmask.engine.hub.hub import Hub
    from unmask.engine.process.client import ProcessEngine
    from unmask.metrics import Metrics

    server = config.server
    listener = shared_listener(server.host, server.port)
    health = None if server.health_port is None else bind(server.host, server.health_port)
    server = replace(server, port=listener.getsockname()[1])
    url = _url(server.host, server.port, secure=server.tls_cert_file is not None)
    metrics, engine = Metrics(), StartingEngine(config.server.data_parallel)
    metrics.ready.set_function(lambda: engine.status().state == "ready")
    hub = Hub(engine.engine_status, metrics)  # each process tells by itself that it stops
    engine.is_served = lambda: hub.num_listening > 0
    processes = ApiProcesses(hub, server, config.engine.max_queue)
    if server.status_interval_s:
        line = StatusLine(metrics, engine.status).line
        processes.report = Report(server.status_interval_s, line)
    loaded = list[ProcessEngine]()
    awaited = {"the model", "the processes"}

    def load() -> Engine:
        with loading(engine.note) as progress:
            set_up = partial(set_up_logging, server.log_level, server.log_format)
            loaded.append(ProcessEngine.start(config, metrics, progress, set_up))
            return loaded[0]

    def note(arrived: str) -> None:
        awaited.discard(arrived)
        if not awaited:
            _announce(url, loaded[0].model.name)

    def begin() -> None:
        engine.load(load, lambda _: processes.call(serve_engine), processes.stop)

    def serve_engine() -> None:
        hub.serve(loaded[0])
        note("the model")

    def listens() -> None:
        logger.info("%d processes listen on %s", server.api_processes, url)
        note("the processes")

    processes.on_start, processes.on_listening, processes.on_stop = begin, listens, engine.drain
    with contextlib.ExitStack() as serving:
        if health is not None:
            from unmask.api.app import create_health_app
            from unmask.http.health import HealthServer, LoopWatch

            probes = LoopWatch(create_health_app(engine, metrics, server), lambda: hub.silence_s)
            serving.callback(HealthServer(probes, health, server).stop)
            logger.info("health and metrics: port %d", health.getsockname()[1])
        processes.serve()
        engine.shutdown()
    listener.close()
    engine.raise_failure()
    if engine.is_loading:  # the loading thread cannot be stopped
        _exit_now(1 if processes.has_failed else 128 + (processes.signal or signal.SIGINT))
    if processes.has_failed:
        sys.exit(1)


def _exit_now(code: int) -> None:
    """Exit without waiting for threads; shows the cursor that a progress bar has hidden."""
    with contextlib.suppress(OSError, ValueError):
        err.show_cursor(True)
        sys.stdout.flush()
    logging.shutdown()
    os._exit(code)


def guarded(server: ServerConfig) -> ServerConfig:
    """Server settings with loopback as allowed hosts if the server is local and without a key.

    Protects a local server against DNS rebinding by web pages. Raises `InvalidConfig` for settings
    with which nothing could be served.
    """
    from unmask.api.keys import KeyStore

    check_server(server)
    check_tls(server)
    if KeyStore(server).asks_for_key or server.uds is not None:  # no page reaches a Unix socket
        return server
    if server.host not in LOOPBACK:
        logger.warning(
            "host %s is open to its network and no API key is asked for; set server.api_key_file",
            server.host,
        )
        return server
    return replace(server, allowed_hosts=server.allowed_hosts or LOOPBACK)


def _with_model(resolved: Resolved, model: str | None) -> Config:
    config = resolved.config
    if model is None:
        return config
    if resolved.sources.get("model.path") == "--model":
        raise InvalidConfig("set the model once: as an argument or with --model")
    return replace(config, model=replace(config.model, path=model))


def _url(host: str, port: int, *, secure: bool) -> str:
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
    return f"{'https' if secure else 'http'}://{shown}:{port}"


def _announce(url: str, name: str) -> None:
    with contextlib.suppress(OSError):  # stdout may be closed
        if url.startswith("unix:"):
            out.print(f"{name} is served at {url}")
        else:
            out.print(f"{name} is served at {url}/v1 (playground: {url}/)")
