"""The process of an engine, from its own side."""

import socket
from multiprocessing.connection import Connection

from unmask.engine.process.child import EngineLoop


def test_a_process_whose_server_is_gone_before_it_begins_ends_in_silence() -> None:
    ours, theirs = socket.socketpair()
    ours.close()
    loop = EngineLoop(Connection(theirs.detach()))
    loop.run()
