"""`unmask` in a subprocess or in this process."""

import contextlib
import io
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock

from unmask.cli.app import main

ROOT = Path(__file__).parent.parent.parent
ENVIRONMENT = {
    **{name: value for name, value in os.environ.items() if not name.startswith("UNMASK_")},
    "PYTHONPATH": f"{ROOT / 'server'}{os.pathsep}{ROOT / 'kernels'}",
    "PYTHONUNBUFFERED": "1",
    "NO_COLOR": "1",
    "OMP_NUM_THREADS": "1",
}


def unmask(*args: str, stdin: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a subprocess."""
    return subprocess.run(
        [sys.executable, "-m", "unmask", *args],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=120,
        env=ENVIRONMENT | environment,
        check=False,
    )


def unmask_here(
    *args: str, stdin: str | None = "", **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run a command in this process, which has the slow imports already."""
    out, err, code, root = io.StringIO(), io.StringIO(), 0, logging.getLogger()
    with (
        mock.patch.object(sys, "argv", ["unmask", *args]),
        mock.patch.object(sys, "stdin", None if stdin is None else io.StringIO(stdin)),
        mock.patch.object(root, "handlers", []),
        mock.patch.object(root, "level", root.level),
        mock.patch.dict(os.environ, ENVIRONMENT | environment, clear=True),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            main()
        except SystemExit as end:
            code = end.code
    return subprocess.CompletedProcess(args, code, out.getvalue(), err.getvalue())


@dataclass
class Server:
    """Running server with its log lines."""

    process: subprocess.Popen[str]
    url: str = ""
    banner: str = ""
    log: list[str] = field(default_factory=list)


@contextlib.contextmanager
def serving(*args: str) -> Iterator[Server]:
    """`unmask serve` on a free port, once it is ready; killed at the end."""
    process = subprocess.Popen(
        [sys.executable, "-m", "unmask", "serve", *args, "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
    )
    server = Server(process)
    assert process.stdout is not None
    assert process.stderr is not None
    reader = threading.Thread(target=server.log.extend, args=(process.stderr,), daemon=True)
    reader.start()
    try:
        server.banner = process.stdout.readline()
        assert " is served at " in server.banner, "".join(server.log)
        server.url = server.banner.split(" is served at ")[1].split("/v1")[0]
        yield server
    finally:
        process.kill()
        process.wait()
        reader.join()
        process.stdout.close()
        process.stderr.close()
