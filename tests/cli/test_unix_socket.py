"""A Unix socket instead of a port: who may have it, and a server that listens on it."""

import socket
import time
from pathlib import Path

import httpx
import pytest

from tests.cli.running import serving, unmask
from unmask.cli.unix_socket import unix_listener
from unmask.errors import InvalidConfig


def test_a_socket_is_removed_at_the_end_and_one_of_nobody_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    with unix_listener(str(path)) as listener:
        listener.listen()
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
    assert not path.exists()


def test_a_socket_of_the_next_server_stays(tmp_path: Path) -> None:
    """One that drains does not listen any more, so that another may begin at its path."""
    path = str(tmp_path / "s")
    with unix_listener(path) as first:
        first.listen()
        first.close()
        time.sleep(0.05)  # the system's files have times of its clock's ticks
        second = unix_listener(path)
        listener = second.__enter__()
        listener.listen()
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(path)
    second.__exit__(None, None, None)
    assert not Path(path).exists()


def test_a_path_that_is_in_use_is_refused_and_stays(tmp_path: Path) -> None:
    file, path = tmp_path / "file", tmp_path / "s"
    file.write_text("mine")
    with unix_listener(str(path)) as listener:
        listener.listen()
        for taken in (file, path):
            refused = pytest.raises(InvalidConfig, match=f"cannot listen on {taken}")
            with refused, unix_listener(str(taken)):
                pass
    assert file.read_text() == "mine"
    with pytest.raises(InvalidConfig, match="cannot listen"), unix_listener("x" * 300):
        pass


@pytest.mark.exhaustive
def test_a_server_answers_on_a_unix_socket_whatever_host_is_named(
    tiny_folder: Path, tmp_path: Path
) -> None:
    path = tmp_path / "s"
    with serving(str(tiny_folder), "--uds", str(path)) as server:
        assert server.url.strip() == f"unix:{path}"
        transport = httpx.HTTPTransport(uds=str(path))
        with httpx.Client(transport=transport, base_url="http://anything") as client:
            assert client.get("/v1/models").status_code == 200
            body = {"prompt": "a", "max_tokens": 4, "stream": True}
            assert client.post("/v1/completions", json=body).text.endswith("data: [DONE]\n\n")


@pytest.mark.exhaustive
def test_several_processes_share_no_unix_socket() -> None:
    ended = unmask("serve", "--uds", "s", "--api-processes", "2")
    assert ended.returncode == 2
    assert "share no Unix socket" in ended.stderr
