"""A whole server, from its banner to the end of its last request."""

import json
import signal
import socket
import time

import httpx
import pytest

from tests.cli.running import serving, unmask

pytestmark = pytest.mark.slow


@pytest.mark.exhaustive
def test_a_server_says_where_it_listens_and_answers_there(tiny_folder):
    with serving(str(tiny_folder), "--served-name", "small") as server:
        assert server.banner.startswith("small is served at http://127.0.0.1:")
        assert httpx.get(f"{server.url}/health/ready").status_code == 200
        assert httpx.get(f"{server.url}/").headers["content-type"].startswith("text/html")
        body = {"prompt": "abc", "max_tokens": 8, "ignore_eos": True}
        usage = httpx.post(f"{server.url}/v1/completions", json=body).json()["usage"]
        assert usage["completion_tokens"] == 8
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(20) == 0
    assert not any("GET /health" in line for line in server.log), "the access log is off"


@pytest.mark.exhaustive
def test_every_process_has_the_chat_template_that_is_named(tiny_folder, tmp_path):
    file, chat = tmp_path / "a.jinja", {"messages": [{"role": "user", "content": "abc"}]}
    file.write_text("{% for m in messages %}<{{ m.content }}>{% endfor %}")
    args = ("--api-processes", "2", "--data-parallel", "2", "--threads", "1", "--num-pages", "100")
    with serving(str(tiny_folder), *args, "--chat-template", str(file)) as server:
        for _ in range(8):  # on connections of their own, which the processes share
            body = {**chat, "max_tokens": 4, "ignore_eos": True}
            answer = httpx.post(f"{server.url}/v1/chat/completions", json=body, timeout=60).json()
            assert answer["usage"]["prompt_tokens"] == len("<abc>")
            rendered = httpx.post(f"{server.url}/apply-template", json=chat).json()
            assert rendered == {"prompt": "<abc>"}


@pytest.mark.exhaustive
def test_settings_are_logged_at_start_without_the_secret(tiny_folder):
    args = ("--api-key", "hunter2", "--log-format", "json", "--access-log", "--engine", "thread")
    with serving(str(tiny_folder), *args) as server:
        url = f"{server.url}/v1/models"
        assert httpx.get(url).status_code == 401
        headers = {"authorization": "Bearer hunter2"}
        assert httpx.get(url, headers=headers).status_code == 200
    first = json.loads(server.log[0])
    assert first["message"].startswith('settings: {"model": {"path": "' + str(tiny_folder))
    assert "hunter2" not in "".join(server.log)
    assert any("GET /v1/models" in json.loads(line)["message"] for line in server.log)


@pytest.mark.exhaustive
def test_the_log_tells_at_intervals_what_was_done_and_nothing_while_nothing_is(tiny_folder):
    with serving(str(tiny_folder), "--status-interval-s", "0.2", "--engine", "thread") as server:
        time.sleep(0.6)
        assert not any("tokens/s" in line for line in server.log)
        body = {"prompt": "abc", "max_tokens": 40, "ignore_eos": True}
        httpx.post(f"{server.url}/v1/completions", json=body, timeout=60).raise_for_status()
        time.sleep(0.6)
    status_lines = [line for line in server.log if "tokens/s" in line]
    assert 1 <= len(status_lines) < 20
    assert " running, " in status_lines[0]
    assert "tokens a step" in "".join(status_lines)


def stream_then_stop(url: str, process: object, num_tokens: int) -> list[str]:
    """Lines of a stream whose server gets SIGTERM after the first text."""
    body = {"prompt": "abc", "max_tokens": num_tokens, "ignore_eos": True, "stream": True}
    lines = []
    with httpx.stream("POST", f"{url}/v1/completions", json=body, timeout=60) as response:
        for line in response.iter_lines():
            if line.startswith("data:"):
                if not lines:
                    process.send_signal(signal.SIGTERM)
                lines.append(line[6:])
    return lines


def test_a_running_request_ends_before_the_server_does(tiny_folder):
    with serving(str(tiny_folder), "--drain-delay-s", "0") as server:
        *chunks, done = stream_then_stop(server.url, server.process, 400)
        assert server.process.wait(20) == 0
    assert done == "[DONE]"
    assert any('"finish_reason":"length"' in chunk.replace(" ", "") for chunk in chunks)
    assert any("draining" in line for line in server.log)


@pytest.mark.exhaustive
def test_a_request_that_takes_too_long_is_told_so_and_given_up(tiny_folder):
    args = ("--shutdown-timeout-s", "0.2", "--drain-delay-s", "0")
    with serving(str(tiny_folder), *args) as server:
        started_s = time.monotonic()
        lines = stream_then_stop(server.url, server.process, 2000)
        assert server.process.wait(20) == 0
        assert time.monotonic() - started_s < 10
    assert '"code":"engine_stopped"' in lines[-2]
    assert lines[-1] == "[DONE]"


@pytest.mark.exhaustive
def test_a_second_signal_stops_at_once_without_a_traceback(tiny_folder):
    with serving(str(tiny_folder), "--shutdown-timeout-s", "600") as server:
        body = {"prompt": "abc", "max_tokens": 2000, "ignore_eos": True, "stream": True}
        url, lines = f"{server.url}/v1/completions", list[str]()
        with httpx.stream("POST", url, json=body, timeout=60) as response:
            for line in response.iter_lines():
                if not lines:
                    for _ in range(2):
                        server.process.send_signal(signal.SIGTERM)
                        time.sleep(0.3)
                lines.append(line)
        assert server.process.wait(20) == 0
    assert '"code":"engine_stopped"' in [line for line in lines if line][-2]
    assert not any("Traceback" in line for line in server.log)


@pytest.fixture
def hears_hangups():
    """Servers hear SIGHUP, which nohup has its children ignore."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.exhaustive
@pytest.mark.usefixtures("hears_hangups")
def test_health_has_a_port_of_its_own_and_a_hangup_drains(tiny_folder):
    with serving(str(tiny_folder), "--health-port", "0", "--log-level", "info") as server:
        said = next(line for line in server.log if "health and metrics: port" in line)
        url = f"http://127.0.0.1:{said.split()[-1]}"
        assert httpx.get(f"{url}/health/live").json() == {"state": "live"}
        assert httpx.get(f"{url}/health/ready").status_code == 200
        assert "unmask_http_connections" in httpx.get(f"{url}/metrics").text
        assert httpx.get(f"{url}/v1/models").status_code == 404
        server.process.send_signal(signal.SIGHUP)
        assert server.process.wait(20) == 0
    assert any("stopped" in line for line in server.log)


def test_a_port_that_is_taken_is_told_before_a_model_is_loaded():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        run = unmask("serve", "nobody/nothing", "--port", str(port))
    assert run.returncode == 2
    assert run.stderr.splitlines()[-1] == (
        f"unmask: cannot listen on 127.0.0.1:{port}: Address already in use"
    )


@pytest.mark.exhaustive
def test_bench_measures_a_server_and_writes_what_it_found(tiny_folder, tmp_path):
    file = tmp_path / "result.json"
    load = ("--num-requests", "6", "--concurrency", "3", "--max-tokens", "8", "--warmup", "1")
    with serving(str(tiny_folder)) as server:
        run = unmask("bench", "--url", server.url, *load, "--ignore-eos", "--json", str(file))
    assert run.returncode == 0, run.stderr
    assert "output tokens/s" in run.stdout
    result = json.loads(file.read_text())
    assert result["target"]["fields"] == {"max_tokens": 8, "ignore_eos": True}
    assert result["summary"]["output_tokens"] == 48
    assert result["summary"]["tokens_per_forward"] > 0
