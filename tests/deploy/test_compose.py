"""The compose file: it fits the schema of the Compose Specification, and the server."""

import importlib.resources
import json
import re

import jsonschema
import pytest
import yaml

from tests.deploy.conftest import DEPLOY
from unmask.config import ServerConfig
from unmask.http.server import CLOSING_S
from unmask.settings import resolve

COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
SERVICES = COMPOSE["services"]
SERVER = SERVICES["unmask"]


@pytest.fixture(scope="module")
def schema():
    folder = importlib.resources.files("check_jsonschema.builtin_schemas.vendor")
    return json.loads((folder / "compose-spec.json").read_text())


def test_the_file_fits_the_schema_of_compose(schema):
    jsonschema.validate(COMPOSE, schema)
    wrong = {"services": {"unmask": SERVER | {"prots": []}}}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(wrong, schema)


def test_mounted_files_are_there_and_volumes_are_declared():
    for name, service in SERVICES.items():
        for mount in service["volumes"]:
            source, target, *_ = re.sub(r"\$\{[^}]*\}", "/model", mount).split(":")
            assert target.startswith("/"), name
            if source.startswith("./"):
                assert (DEPLOY / source).exists(), source
            elif not source.startswith("/"):
                assert source in COMPOSE["volumes"], source
    used = {mount.split(":")[0] for service in SERVICES.values() for mount in service["volumes"]}
    assert set(COMPOSE["volumes"]) <= used


def test_the_server_has_settings_that_exist_and_no_rights():
    resolve(environment=SERVER["environment"])
    assert SERVER["read_only"] is True
    assert SERVER["cap_drop"] == ["ALL"]
    user, _, _ = SERVER["user"].partition(":")
    assert f"--uid {user} unmask" in (DEPLOY.parent / "Dockerfile").read_text()


def test_the_server_has_time_to_end_its_streams():
    server = ServerConfig()
    drain_s = getattr(server, "drain_delay_s", 0.0) + server.shutdown_timeout_s + CLOSING_S
    assert int(SERVER["stop_grace_period"].removesuffix("s")) > drain_s


def test_ports_are_those_of_this_machine_and_prometheus_finds_the_server():
    for service in SERVICES.values():
        assert all(port.startswith("127.0.0.1:") for port in service["ports"])
    config = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yaml").read_text())
    ((target,),) = [c["targets"] for job in config["scrape_configs"] for c in job["static_configs"]]
    name, _, port = target.partition(":")
    assert SERVICES[name]["ports"] == [f"127.0.0.1:{port}:{ServerConfig().port}"]
    for file in config["rule_files"]:
        assert (DEPLOY / "prometheus" / file).exists()


def test_images_have_versions():
    for name, service in SERVICES.items():
        _, _, tag = service["image"].partition(":")
        assert tag, name
        assert (tag == "latest") == (name == "unmask"), "ours is built here"
