"""Prometheus and promtool, where they are installed: rules, `/metrics`, the dashboard's queries."""

import contextlib
import json
import math
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator

import httpx
import pytest
import yaml

from tests.cli.running import serving
from tests.deploy.conftest import DEPLOY
from tests.deploy.test_dashboard import DASHBOARD, TARGETS
from tests.deploy.test_rules import ALERTS, RECORDED, RULES
from tests.support.promql import without_variables

PROMTOOL, PROMETHEUS = shutil.which("promtool"), shutil.which("prometheus")
WINDOW, SCRAPES_S = "10s", 12.0  # of rates; and of traffic before queries
COLON = "metric names should not contain ':'"

needs_promtool = pytest.mark.skipif(PROMTOOL is None, reason="there is no promtool")
needs_prometheus = pytest.mark.skipif(PROMETHEUS is None, reason="there is no prometheus")


def promtool(*args: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    assert PROMTOOL is not None
    return subprocess.run(
        [PROMTOOL, *args], input=stdin, capture_output=True, text=True, check=False
    )


@needs_promtool
@pytest.mark.parametrize(
    "command",
    [
        ("check", "rules", "rules.yaml"),
        ("test", "rules", "rules_test.yaml"),
        ("check", "config", "prometheus.yaml"),
    ],
)
def test_promtool_takes_the_files(command):
    *words, name = command
    run = promtool(*words, str(DEPLOY / "prometheus" / name))
    assert run.returncode == 0, run.stdout + run.stderr
    assert "FAILED" not in run.stdout


def ask(url: str, **fields: object) -> httpx.Response:
    body = {"prompt": "abc", "max_tokens": 40, "ignore_eos": True, **fields}
    return httpx.post(f"{url}/v1/completions", json=body, timeout=60)


def complaints(url: str, **headers: str) -> list[str]:
    """Lines of promtool about /metrics, none about names of vLLM that begin with `vllm:`."""
    response = httpx.get(f"{url}/metrics", headers=headers)
    response.raise_for_status()
    lines = promtool("check", "metrics", stdin=response.text).stderr.splitlines()
    return [line for line in lines if not (line.startswith("vllm:") and line.endswith(COLON))]


@needs_promtool
@pytest.mark.exhaustive
@pytest.mark.parametrize("engine", ["process", "thread"])
@pytest.mark.parametrize("vllm", [False, True])
@pytest.mark.parametrize("key", [False, True])
def test_promtool_has_no_complaint_with_any_switch(tiny_folder, engine, vllm, key):
    """It objects to each colon of vLLM's names, which are what they are."""
    flags = ["--engine", engine, *["--vllm-metrics"] * vllm]
    flags += ["--api-key", "a", "--metrics-key", "m"] * key
    with serving(str(tiny_folder), *flags) as server:
        headers = {"authorization": "Bearer m"} if key else {}
        assert complaints(server.url, **headers) == [], "before any request"
        if not key:
            ask(server.url).raise_for_status()
        ask(server.url, max_tokens=-1)
        assert complaints(server.url, **headers) == []
        text = httpx.get(f"{server.url}/metrics", headers=headers).text
        assert ("vllm:" in text) == vllm


@contextlib.contextmanager
def prometheus(folder, target: str) -> Iterator[str]:
    """Prometheus with the rules, which scrapes a server each second."""
    assert PROMETHEUS is not None
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(DEPLOY / "prometheus" / "rules.yaml")],
        "scrape_configs": [{"job_name": "unmask", "static_configs": [{"targets": [target]}]}],
    }
    (folder / "prometheus.yaml").write_text(yaml.safe_dump(config))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [
        *(PROMETHEUS, f"--config.file={folder / 'prometheus.yaml'}"),
        *(f"--storage.tsdb.path={folder / 'data'}", f"--web.listen-address=127.0.0.1:{port}"),
    ]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        url = f"http://127.0.0.1:{port}"
        deadline_s = time.monotonic() + 30
        while not _is_ready(url):
            assert process.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < deadline_s
            time.sleep(0.2)
        yield url
    finally:
        process.kill()
        process.wait()


def _is_ready(url: str) -> bool:
    with contextlib.suppress(httpx.TransportError):
        return httpx.get(f"{url}/-/ready").status_code == 200
    return False


@pytest.fixture(scope="module")
def scraped(tiny_folder, tmp_path_factory) -> Iterator[str]:
    """Prometheus after some seconds of requests: whole, streamed, wrong, and dropped."""
    folder = tmp_path_factory.mktemp("prometheus")
    flags = ("--speculation-rows", "64", "--max-num-seqs", "4", "--vllm-metrics")
    with (
        serving(str(tiny_folder), *flags) as server,
        prometheus(folder, server.url.removeprefix("http://")) as url,
    ):
        ends = threading.Event()

        def load() -> None:
            while not ends.is_set():
                ask(server.url, n=2, temperature=1.0)
                ask(server.url, max_tokens=-1)
                with contextlib.suppress(httpx.TimeoutException):
                    httpx.post(
                        f"{server.url}/v1/completions",
                        json={"prompt": "a", "max_tokens": 2000, "ignore_eos": True},
                        timeout=0.2,
                    )

        thread = threading.Thread(target=load)
        thread.start()
        try:
            time.sleep(SCRAPES_S)
            yield url
        finally:
            ends.set()
            thread.join()


def values(url: str, expr: str) -> list[float]:
    """Values of a query now; none for series without a number."""
    answer = httpx.get(f"{url}/api/v1/query", params={"query": expr}).json()
    assert answer["status"] == "success", (expr, answer)
    numbers = [float(series["value"][1]) for series in answer["data"]["result"]]
    return [number for number in numbers if not math.isnan(number)]


@needs_prometheus
@pytest.mark.exhaustive
def test_every_query_of_the_dashboard_returns_data(scraped):
    empty = [
        (panel["title"], target["expr"])
        for panel, target in TARGETS
        if not values(scraped, without_variables(target["expr"], WINDOW))
    ]
    assert empty == []
    for annotation in DASHBOARD["annotations"]["list"]:
        assert values(scraped, without_variables(annotation["expr"]).replace("> 0", ">= 0"))


@needs_prometheus
@pytest.mark.exhaustive
def test_the_variables_of_the_dashboard_have_values(scraped):
    for variable in DASHBOARD["templating"]["list"]:
        if variable["type"] == "query":
            call = variable["query"]["query"]
            metric, label = call.removeprefix("label_values(").removesuffix(")").split(", ")
            params = {"match[]": metric}
            found = httpx.get(f"{scraped}/api/v1/label/{label}/values", params=params).json()
            assert found["data"], call


@needs_prometheus
@pytest.mark.exhaustive
def test_every_rule_is_evaluated_and_no_alert_is_raised(scraped):
    for name in RECORDED:
        assert values(scraped, name), name
    groups = httpx.get(f"{scraped}/api/v1/rules").json()["data"]["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    assert len(rules) == len(RULES)
    assert [json.dumps(rule) for rule in rules if rule["health"] != "ok"] == []
    alerts = {rule["name"]: rule["state"] for rule in rules if rule["type"] == "alerting"}
    assert set(alerts) == set(ALERTS)
    assert "firing" not in alerts.values()
