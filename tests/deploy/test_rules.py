"""Recording and alert rules name what is exported, and each alert has a section of the guide."""

import re

import pytest
import yaml

from tests.deploy.conftest import DEPLOY
from tests.support.promql import Use, grouped_by, missing, uses
from tests.test_site import anchors

ROOT = DEPLOY.parent
RULES = [
    rule
    for group in yaml.safe_load((DEPLOY / "prometheus" / "rules.yaml").read_text())["groups"]
    for rule in group["rules"]
]
RECORDED = {rule["record"]: rule for rule in RULES if "record" in rule}
ALERTS = {rule["alert"]: rule for rule in RULES if "alert" in rule}
GUIDE = "docs/guides/operations.md"


def with_recorded(exported):
    return exported | {name: set(grouped_by(rule["expr"])) for name, rule in RECORDED.items()}


@pytest.mark.parametrize("name", [*RECORDED, *ALERTS])
def test_rules_name_series_and_labels_that_are_exported(exported, name):
    rule = RECORDED.get(name) or ALERTS[name]
    known = exported if name in RECORDED else with_recorded(exported)
    assert uses(rule["expr"])
    assert missing(rule["expr"], known) == []


def test_a_wrong_name_or_label_is_found(exported):
    assert missing("rate(unmask_nothing_total[5m])", exported) == [
        Use("unmask_nothing_total", frozenset())
    ]
    for expr in (
        'unmask_ready{nothing="a"}',
        "sum by (nothing) (unmask_ready)",
        "unmask_ready / on (nothing) unmask_build_info",
    ):
        assert missing(expr, exported), expr
    assert missing('sum by (instance) (unmask_ready{model_name="a", job="b"})', exported) == []


def test_recorded_names_begin_with_the_labels_that_they_keep():
    for name, rule in RECORDED.items():
        level, _, _ = name.split(":")
        words = {"model": "model_name", "instance": "instance"}
        assert {words[word] for word in level.split("_")} == grouped_by(rule["expr"]), name


def test_every_alert_has_a_section_of_the_guide_and_each_section_an_alert():
    known = anchors(ROOT / GUIDE)
    for name, rule in ALERTS.items():
        assert rule["annotations"]["runbook"] == f"{GUIDE}#{name.lower()}"
        assert name.lower() in known
        assert rule["labels"]["severity"] in ("critical", "warning", "info")
        assert {"summary", "description"} <= set(rule["annotations"])
    headings = re.findall(r"^### (Unmask\w+)$", (ROOT / GUIDE).read_text(), re.MULTILINE)
    assert sorted(headings) == sorted(ALERTS)


def test_annotations_use_labels_that_the_alert_has():
    for name, rule in ALERTS.items():
        if not (labels := grouped_by(rule["expr"])):
            labels = {"instance", "model_name"}  # of a recorded series, or of `up`
        for text in rule["annotations"].values():
            assert set(re.findall(r"\$labels\.(\w+)", text)) <= labels, name


def test_every_alert_has_a_case():
    cases = yaml.safe_load((DEPLOY / "prometheus" / "rules_test.yaml").read_text())
    tried = {
        case["alertname"]
        for test in cases["tests"]
        for case in test.get("alert_rule_test", ())
        if case.get("exp_alerts")
    }
    assert tried == set(ALERTS)
