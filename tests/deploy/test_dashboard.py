"""The Grafana dashboard: queries of what is exported, panels that do not overlap."""

import itertools
import json
import re

import yaml

from tests.deploy.conftest import DEPLOY
from tests.support.promql import grouped_by, missing, uses, without_variables

DASHBOARD = json.loads((DEPLOY / "grafana" / "unmask.json").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
TARGETS = [(panel, target) for panel in PANELS for target in panel["targets"]]
COLUMNS = 24


def test_queries_name_series_and_labels_that_are_exported(exported):
    assert len(TARGETS) > 50
    for panel, target in TARGETS:
        expr = without_variables(target["expr"])
        assert uses(expr), panel["title"]
        assert missing(expr, exported) == [], panel["title"]
    for annotation in DASHBOARD["annotations"]["list"]:
        assert missing(without_variables(annotation["expr"]), exported) == []


def test_every_query_is_of_the_chosen_models_and_servers():
    for panel, target in TARGETS:
        selectors = re.findall(r"\b(?:unmask|process)_\w+(\{[^}]*\})?", target["expr"])
        for selector in selectors:
            assert 'instance=~"$instance"' in selector, panel["title"]


def test_legends_name_labels_of_their_query():
    for panel, target in TARGETS:
        named = set(re.findall(r"{{(\w+)}}", target["legendFormat"]))
        by = grouped_by(target["expr"]) or {"instance"}
        assert named <= by, panel["title"]


def test_panels_have_their_own_ids_and_places():
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids))
    cells = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= COLUMNS
        own = set(
            itertools.product(
                range(place["x"], place["x"] + place["w"]),
                range(place["y"], place["y"] + place["h"]),
            )
        )
        assert not own & cells, panel["title"]
        cells |= own
    titles = [panel["title"] for panel in DASHBOARD["panels"]]
    assert all(titles)


def test_panels_take_their_data_from_the_chosen_source():
    wanted = {"type": "prometheus", "uid": "${datasource}"}
    for panel, target in TARGETS:
        assert panel["datasource"] == target["datasource"] == wanted
        refs = [target["refId"] for target in panel["targets"]]
        assert len(refs) == len(set(refs))
    names = {variable["name"] for variable in DASHBOARD["templating"]["list"]}
    assert names == {"datasource", "model", "instance"}


def test_grafana_is_told_to_find_the_dashboard_and_its_source():
    folder = DEPLOY / "grafana" / "provisioning"
    (source,) = yaml.safe_load((folder / "datasources" / "prometheus.yaml").read_text())[
        "datasources"
    ]
    assert source["type"] == "prometheus"
    (provider,) = yaml.safe_load((folder / "dashboards" / "unmask.yaml").read_text())["providers"]
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    mounts = [mount.split(":")[1] for mount in compose["services"]["grafana"]["volumes"]]
    assert any(mount.startswith(provider["options"]["path"]) for mount in mounts)
    assert "prometheus:9090" in source["url"]
