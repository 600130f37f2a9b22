"""API keys, host names, TLS and the access log."""

import logging

import pytest

from unmask.api import create_app
from unmask.api.requests import ChatBody, CompletionBody
from unmask.api.sampling_fields import DECLARED, highest
from unmask.api.unsupported import NEUTRAL
from unmask.cli.serve import guarded
from unmask.config import ServerConfig
from unmask.errors import InvalidConfig
from unmask.sampling_params import PARAMETERS
from unmask.settings import resolve


def bearer(key):
    return {"authorization": f"Bearer {key}".encode()}


@pytest.mark.parametrize("name", ["api_key", "metrics_key"])
def test_an_empty_key_is_refused_at_start(tmp_path, name):
    for text in ("", "  "):
        with pytest.raises(InvalidConfig, match="must not be empty"):
            resolve(environment={f"UNMASK_SERVER_{name.upper()}": text})
        with pytest.raises(InvalidConfig, match="must not be empty"):
            resolve({f"server.{name}": text}, environment={})
        file = tmp_path / "unmask.toml"
        file.write_text(f"[server]\n{name} = '{text}'\n")
        with pytest.raises(InvalidConfig, match="must not be empty"):
            resolve(file=file, environment={})


def test_an_empty_key_given_in_code_is_refused(engine, metrics):
    with pytest.raises(InvalidConfig, match="must not be empty"):
        create_app(engine, metrics, ServerConfig(api_key=""))


def test_metrics_may_have_a_key_of_their_own(call):
    config = ServerConfig(api_key="a", metrics_key="m")
    assert call("GET", "/metrics", config).status_code == 401
    assert call("GET", "/metrics", config, headers=bearer("a")).status_code == 403
    assert call("GET", "/metrics", config, headers=bearer("m")).status_code == 200
    assert call("GET", "/v1/models", config, headers=bearer("m")).status_code == 403
    only = ServerConfig(metrics_key="m")
    assert call("GET", "/metrics", only).status_code == 401
    assert call("GET", "/v1/models", only).status_code == 200


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:8000", "127.0.0.1:1", "[::1]:80", "[::1]"]
)
def test_a_private_server_answers_to_names_of_this_machine(call, host):
    config = guarded(ServerConfig())
    assert call("GET", "/v1/models", config, headers={"host": host}).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "127.0.0.1.nip.io", ""])
def test_a_private_server_refuses_other_names(call, host):
    config = guarded(ServerConfig())
    for path in ("/v1/models", "/", "/metrics", "/openapi.json"):
        response = call("GET", path, config, headers={"host": host})
        assert response.status_code == 403
        assert response.json()["error"]["code"] == "host_not_allowed"
    assert call("GET", "/health", config, headers={"host": host}).status_code == 200


@pytest.mark.parametrize("host", ["10.1.2.3:8000", "10.1.2.3", "[fd00::1]:8000", "[fd00::1]"])
def test_metrics_are_answered_under_the_address_of_a_pod(call, host):
    for config in (guarded(ServerConfig()), ServerConfig(allowed_hosts=("a.example",))):
        for path, status in (("/metrics", 200), ("/health/ready", 200), ("/v1/models", 403)):
            assert call("GET", path, config, headers={"host": host}).status_code == status
    of_key = ServerConfig(allowed_hosts=("a.example",), metrics_key="m")
    assert call("GET", "/metrics", of_key, headers={"host": host}).status_code == 401


def test_with_a_key_or_for_a_network_every_name_is_answered_unless_some_are_named(call, caplog):
    headers = {"host": "proxy.example", **bearer("k")}
    for config in (ServerConfig(api_key="k"), ServerConfig(host="0.0.0.0")):
        assert call("GET", "/v1/models", guarded(config), headers=headers).status_code == 200
    assert "no API key is asked for" in caplog.text
    named = ServerConfig(allowed_hosts=("proxy.example",))
    assert call("GET", "/v1/models", guarded(named), headers=headers).status_code == 200
    assert call("GET", "/v1/models", guarded(named), headers={"host": "x"}).status_code == 403
    anything = ServerConfig(allowed_hosts=("*",))
    assert call("GET", "/v1/models", guarded(anything), headers={"host": "x"}).status_code == 200


def test_the_access_log_has_one_line_with_id_and_time_for_a_request(call, caplog):
    caplog.set_level(logging.INFO)
    headers = {"x-request-id": "mine-1"}
    call("GET", "/v1/models", ServerConfig(access_log=True), headers=headers)
    call("GET", "/v1/a%0Ab", ServerConfig(access_log=True))
    first, second = [r.getMessage() for r in caplog.records if r.name == "unmask.access"]
    assert "GET /v1/models: 200 in " in first
    assert first.endswith("ms, request mine-1")
    assert "GET /v1/a%0Ab: 404 in" in second
    caplog.clear()
    call("GET", "/v1/models")
    assert not [r for r in caplog.records if r.name == "unmask.access"]


def test_tls_needs_files_that_can_be_read(tmp_path):
    with pytest.raises(InvalidConfig, match="cannot be read"):
        guarded(ServerConfig(tls_cert_file=str(tmp_path / "cert.pem")))
    with pytest.raises(InvalidConfig, match=r"without server\.tls_cert_file"):
        guarded(ServerConfig(tls_key_file=str(tmp_path)))


def test_tls_files_without_a_certificate_and_its_key_are_refused_at_start(tmp_path):
    no_pem = tmp_path / "tls.pem"
    no_pem.write_text("this is no certificate")
    with pytest.raises(InvalidConfig, match=r"no certificate with its key, in PEM, in .*tls\.pem"):
        guarded(ServerConfig(tls_cert_file=str(no_pem)))
    with pytest.raises(InvalidConfig, match=rf"{tmp_path}: Is a directory"):
        guarded(ServerConfig(tls_cert_file=str(tmp_path)))


def test_a_port_has_one_purpose():
    with pytest.raises(InvalidConfig, match=r"health_port must not be server\.port, 9100"):
        guarded(ServerConfig(port=9100, health_port=9100))
    guarded(ServerConfig(port=0, health_port=0))  # free ones, each another
    guarded(ServerConfig(uds="/run/unmask.sock", port=9100, health_port=9100))


def test_the_longest_body_has_room_among_all_bodies():
    with pytest.raises(InvalidConfig, match=r"max_bodies_mib, 64, must be at least .*, 100"):
        guarded(ServerConfig(max_body_mib=100))
    guarded(ServerConfig(max_body_mib=100, max_bodies_mib=100))
    guarded(ServerConfig(max_bodies_mib=1))


@pytest.mark.parametrize("host", ["::1", "[::1]", "FE80::2.3.4.5"])
def test_an_address_is_allowed_with_brackets_and_without(call, host):
    config = guarded(ServerConfig(allowed_hosts=("a.example", host)))
    header = f"[{host.strip('[]')}]"
    for name in (header, f"{header}:8000"):
        assert call("GET", "/v1/models", config, headers={"host": name}).status_code == 200
    assert call("GET", "/v1/models", config, headers={"host": "[::2]"}).status_code == 403


@pytest.mark.parametrize(
    "host", ["a.example:8000", "http://a.example", "*.a.example", "[::1]:80", "a b", ""]
)
def test_a_host_that_no_browser_asks_for_is_refused(host):
    with pytest.raises(InvalidConfig, match=r"names such as gpu\.example\.com, without a port"):
        guarded(ServerConfig(allowed_hosts=("a.example", host)))


@pytest.mark.parametrize(
    "origin",
    [
        "http://a.example/",
        "a.example",
        "http://a b",
        "",
        "http://",
        "https://*.a.example",
        "http://A.example",
    ],
)
def test_an_origin_that_no_browser_sends_is_refused(origin):
    with pytest.raises(InvalidConfig, match="origins such as http://localhost:3000"):
        guarded(ServerConfig(cors_origins=("https://a.example", origin)))


def test_origins_of_browsers_are_taken():
    origins = ("*", "null", "http://localhost:3000", "https://[::1]:8", "chrome-extension://abcd")
    assert guarded(ServerConfig(cors_origins=origins)).cors_origins == origins


@pytest.mark.parametrize("body", [CompletionBody, ChatBody])
def test_every_sampling_parameter_is_a_field_or_refused_by_name(body):
    assert set(PARAMETERS) <= set(body.model_fields) | set(NEUTRAL)


@pytest.mark.parametrize("body", ["CompletionBody", "ChatBody"])
def test_fields_of_the_schema_have_the_bounds_and_choices_of_their_parameter(call, body):
    schemas = call("GET", "/openapi.json").json()["components"]["schemas"]
    properties = schemas[body]["properties"]
    for row in (row for row in PARAMETERS.values() if row.name not in DECLARED):
        field = properties[row.name]
        if row.low is not None:
            low = min((row.low, *row.aliases))
            assert field["exclusiveMinimum" if row.open_low else "minimum"] == low
        assert field.get("maximum") == highest(row)
        if row.type.choices:
            assert field["enum"] == [*row.type.choices, *row.aliases, None]


def test_the_schema_has_the_bounds_that_are_checked(call):
    schemas = call("GET", "/openapi.json").json()["components"]["schemas"]
    fields, known = schemas["CompletionBody"]["properties"], 0
    for name, field in fields.items():
        if "minimum" in field or "exclusiveMinimum" in field:
            known += 1
            low = field.get("minimum", field.get("exclusiveMinimum"))
            wrong = low - 1 if "minimum" in field else low
            for value in (wrong, *([field["maximum"] + 1] if "maximum" in field else ())):
                body = {"prompt": "hi", name: value}
                error = call("POST", "/v1/completions", json=body).json()["error"]
                assert error["param"] == name, (name, value)
    assert known >= 14
    assert "threshold" in fields["policy"]["enum"]
    assert fields["cache"]["enum"][-1] is None
    assert len(fields["prompt"]["anyOf"]) == 5  # with null, beside a template
