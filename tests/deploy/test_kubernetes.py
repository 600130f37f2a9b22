"""Kubernetes manifests: they fit the server's paths, settings, times and metrics."""

import pytest
import yaml

from tests.deploy.conftest import DEPLOY
from tests.support.promql import missing
from unmask.config import ServerConfig
from unmask.http.server import CLOSING_S
from unmask.options import OPTIONS
from unmask.settings import resolve

FOLDER = DEPLOY / "kubernetes"
FILES = sorted(file for file in FOLDER.glob("*.yaml") if file.name != "kustomization.yaml")
MANIFESTS = {file.stem: yaml.safe_load(file.read_text()) for file in FILES}
SPEC = MANIFESTS["deployment"]["spec"]
POD = SPEC["template"]["spec"]
(CONTAINER,) = POD["containers"]
LABELS = SPEC["template"]["metadata"]["labels"]
AUTOSCALERS = {"keda", "hpa"}
PULL_S = 600  # of an image, most of it torch
SPANS_S = 10  # OpenTelemetry's OTEL_EXPORTER_OTLP_TIMEOUT


def seconds(probe):
    """The time that a probe fails before it counts."""
    return probe["periodSeconds"] * probe["failureThreshold"]


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    """The settings of the config map, which must be right."""
    file = tmp_path_factory.mktemp("config") / "unmask.toml"
    file.write_text(MANIFESTS["configmap"]["data"]["unmask.toml"])
    return resolve(file=file, environment={}).config


def test_probes_ask_paths_that_answer_them(call):
    port = next(port for port in CONTAINER["ports"] if port["name"] == "http")
    assert port["containerPort"] == ServerConfig().port
    for name in ("startupProbe", "readinessProbe", "livenessProbe"):
        probe = CONTAINER[name]
        assert probe["httpGet"]["port"] == "http"
        assert call("GET", probe["httpGet"]["path"]).status_code == 200
    assert CONTAINER["livenessProbe"]["httpGet"]["path"] == "/health/live"
    assert CONTAINER["readinessProbe"]["httpGet"]["path"] == "/health/ready"


def test_a_model_has_time_to_load_and_a_busy_server_is_not_killed():
    assert CONTAINER["startupProbe"]["httpGet"]["path"] == "/health/ready"
    assert seconds(CONTAINER["startupProbe"]) >= 600
    assert SPEC["progressDeadlineSeconds"] > seconds(CONTAINER["startupProbe"]) + PULL_S
    assert seconds(CONTAINER["livenessProbe"]) >= 60
    assert seconds(CONTAINER["readinessProbe"]) <= 15, "a server that stops gets no requests"


def test_a_pod_has_time_to_end_its_streams(settings):
    sleep, wait_s = CONTAINER["lifecycle"]["preStop"]["exec"]["command"]
    assert sleep == "sleep"
    assert int(wait_s) >= CONTAINER["readinessProbe"]["periodSeconds"]
    server = settings.server
    drain_s = getattr(server, "drain_delay_s", 0.0) + server.shutdown_timeout_s + CLOSING_S
    assert POD["terminationGracePeriodSeconds"] >= int(wait_s) + drain_s + SPANS_S


def test_a_pod_has_no_rights_and_writes_to_its_volumes_only():
    assert POD["securityContext"]["runAsNonRoot"] is True
    user = POD["securityContext"]["runAsUser"]
    assert f"--uid {user} unmask" in (DEPLOY.parent / "Dockerfile").read_text()
    assert POD["automountServiceAccountToken"] is False
    assert POD["enableServiceLinks"] is False
    limits = CONTAINER["securityContext"]
    assert limits["readOnlyRootFilesystem"] is True
    assert limits["allowPrivilegeEscalation"] is False
    assert limits["capabilities"] == {"drop": ["ALL"]}
    writable = {m["mountPath"] for m in CONTAINER["volumeMounts"] if not m.get("readOnly")}
    assert writable == {"/tmp", "/dev/shm"}


def test_volumes_are_there_and_settings_name_what_is_mounted(settings):
    volumes = {volume["name"]: volume for volume in POD["volumes"]}
    mounts = {mount["mountPath"]: volumes[mount["name"]] for mount in CONTAINER["volumeMounts"]}
    assert {volume["name"] for volume in mounts.values()} == set(volumes)
    assert "persistentVolumeClaim" in mounts[settings.model.path]
    variables = {entry["name"]: entry for entry in CONTAINER["env"]}
    folder, _, name = variables["UNMASK_CONFIG"]["value"].rpartition("/")
    assert mounts[folder]["configMap"]["name"] == MANIFESTS["configmap"]["metadata"]["name"]
    assert name in MANIFESTS["configmap"]["data"]
    assert "secretKeyRef" in variables["UNMASK_SERVER_API_KEY"]["valueFrom"]
    assert set(variables) - {"UNMASK_CONFIG"} <= {option.variable for option in OPTIONS}
    assert settings.server.host == "0.0.0.0"


def test_everything_selects_the_pods():
    selectors = {
        "deployment": SPEC["selector"]["matchLabels"],
        "service": MANIFESTS["service"]["spec"]["selector"],
        "pdb": MANIFESTS["pdb"]["spec"]["selector"]["matchLabels"],
        "podmonitor": MANIFESTS["podmonitor"]["spec"]["selector"]["matchLabels"],
    }
    for name, selector in selectors.items():
        assert selector.items() <= LABELS.items(), name
    for manifest in MANIFESTS.values():
        assert manifest["metadata"]["name"] == "unmask"
    for scaler in AUTOSCALERS:
        assert MANIFESTS[scaler]["spec"]["scaleTargetRef"]["name"] == "unmask"
    assert "replicas" not in SPEC, "it would fight with an autoscaler"


def test_pods_are_scraped_as_the_job_that_rules_name(call):
    spec = MANIFESTS["podmonitor"]["spec"]
    (endpoint,) = spec["podMetricsEndpoints"]
    assert endpoint["port"] in {port["name"] for port in CONTAINER["ports"]}
    assert call("GET", endpoint["path"]).status_code == 200
    assert LABELS[spec["jobLabel"]] == "unmask"
    prometheus = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yaml").read_text())
    assert [job["job_name"] for job in prometheus["scrape_configs"]] == ["unmask"]


def test_autoscalers_follow_requests_that_wait(exported, settings):
    (trigger,) = MANIFESTS["keda"]["spec"]["triggers"]
    assert "unmask_requests_waiting" in trigger["metadata"]["query"]
    assert missing(trigger["metadata"]["query"], exported) == []
    (metric,) = MANIFESTS["hpa"]["spec"]["metrics"]
    assert metric["pods"]["metric"]["name"] == "unmask_requests_waiting"
    wanted = {trigger["metadata"]["threshold"], metric["pods"]["target"]["averageValue"]}
    assert len(wanted) == 1, "both scale alike"
    assert int(wanted.pop()) < settings.engine.max_queue, "there are more pods before a refusal"
    behavior = MANIFESTS["keda"]["spec"]["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
    assert behavior == MANIFESTS["hpa"]["spec"]["behavior"]
    assert MANIFESTS["keda"]["spec"]["maxReplicaCount"] == MANIFESTS["hpa"]["spec"]["maxReplicas"]


def test_kustomize_takes_every_file_that_any_cluster_accepts_but_autoscalers():
    kustomization = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())
    built_in = {"v1", "apps/v1", "policy/v1", "autoscaling/v2"}
    assert {name.removesuffix(".yaml") for name in kustomization["resources"]} == {
        name
        for name, manifest in MANIFESTS.items()
        if manifest["apiVersion"] in built_in and name not in AUTOSCALERS
    }


@pytest.mark.exhaustive
@pytest.mark.parametrize("version", ["1.29", "1.31", "1.34"])
def test_manifests_fit_the_schemas_of_kubernetes(version):
    """Custom resources (PodMonitor, ScaledObject) have no schema there."""
    validate = pytest.importorskip("kubernetes_validate")
    custom = {"keda", "podmonitor"}
    for name, manifest in MANIFESTS.items():
        if name not in custom:
            validate.validate(manifest, version, strict=True)
    wrong = {**MANIFESTS["service"], "spec": {"selectors": {}}}
    with pytest.raises(validate.ValidationError):
        validate.validate(wrong, version, strict=True)
