"""One of several HTTP processes: `python -m unmask.cli.api_process FD`, started by a server."""

import asyncio
import gc
import logging
import pickle
import socket
import sys

from unmask.api.app import create_app
from unmask.cli.http import HURRY_SIGNAL, bind, run
from unmask.cli.output import set_up_logging
from unmask.engine.hub.channel import LENGTH
from unmask.engine.hub.messages import ApiStart
from unmask.engine.hub.remote import RemoteEngine
from unmask.engine.process.recording import RecordedMetrics
from unmask.errors import InvalidConfig
from unmask.http.server import HttpServer

logger = logging.getLogger(__name__)


def main() -> None:
    """Serve the hub at the other end of a socket, whose descriptor is the argument."""
    hub = socket.socket(fileno=int(sys.argv[1]))
    start = _receive(hub)
    server = start.server
    set_up_logging(server.log_level, server.log_format)
    metrics = RecordedMetrics()
    engine = RemoteEngine(metrics, start.max_queue)
    tasks = set[asyncio.Task[None]]()  # referenced, or they might be collected

    def begin(listening: HttpServer) -> None:
        tasks.add(asyncio.create_task(engine.connect(hub, listening.stop)))

    try:
        listener = bind(server.host, server.port, is_shared=True)
        app = create_app(engine, metrics, server, scrape=engine.scrape, sharing=engine)
    except InvalidConfig as error:  # such as a key file with a mistake since the start
        logger.error("%s", error)
        sys.exit(1)
    gc.collect()
    gc.freeze()  # modules live as long as the process: exclude them from collections
    run(
        *(app, listener, engine, server, metrics),
        on_listening=begin,
        hurry_signal=HURRY_SIGNAL,
    )


def _receive(hub: socket.socket) -> ApiStart:
    """The first message, before there is an event loop."""
    (length,) = LENGTH.unpack(_exactly(hub, LENGTH.size))
    start: ApiStart = pickle.loads(_exactly(hub, length))
    return start


def _exactly(hub: socket.socket, size: int) -> bytes:
    data = hub.recv(size, socket.MSG_WAITALL)
    if len(data) < size:
        sys.exit("the server ended")
    return data


if __name__ == "__main__":
    main()
