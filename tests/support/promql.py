"""PromQL expressions: the metrics and labels that they name."""

import re
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass

import promql_parser
from promql_parser import AggregateExpr, BinaryExpr, Expr, VectorSelector

# Of Grafana, in dashboards.
VARIABLES = {"$__rate_interval": "5m", "$model": ".*", "$instance": ".*"}
OF_PROMETHEUS = frozenset({"instance", "job"})  # labels that a scrape adds


@dataclass(frozen=True, slots=True)
class Use:
    """A metric, and labels of it that a selector, a grouping or a match names."""

    metric: str
    labels: frozenset[str]


def without_variables(expr: str, interval: str = "5m") -> str:
    """The expression with values in place of Grafana's variables."""
    for name, value in (VARIABLES | {"$__rate_interval": interval}).items():
        expr = expr.replace(name, value)
    assert "$" not in expr, expr
    return expr


def uses(expr: str) -> list[Use]:
    """Metrics of an expression; raises `ValueError` if it is none."""
    found: list[Use] = []

    def visit(node: Expr) -> bool:
        match node:
            case AggregateExpr():
                if node.modifier is not None:
                    assert "By" in str(node.modifier.type), "what `without` leaves is not checked"
                    named = frozenset(node.modifier.labels)
                    found.extend(Use(metric, named) for metric in metrics_of(node.expr))
            case BinaryExpr() if node.modifier is not None and node.modifier.matching is not None:
                named = frozenset(node.modifier.matching.labels)
                for side in (node.lhs, node.rhs):
                    found.extend(Use(metric, named) for metric in metrics_of(side))
        return True

    tree = promql_parser.parse(expr)
    promql_parser.walk(tree, visit)
    for selector in _selectors(tree):
        labels = frozenset(matcher.name for matcher in selector.matchers.matchers)
        found.append(Use(_name(selector), labels))
    return found


def metrics_of(tree: Expr) -> Iterator[str]:
    """Names of the metrics in an expression."""
    return map(_name, _selectors(tree))


def _selectors(tree: Expr) -> list[VectorSelector]:
    found: list[VectorSelector] = []

    def visit(node: Expr) -> bool:
        if isinstance(node, VectorSelector):
            found.append(node)
        return True

    promql_parser.walk(tree, visit)
    return found


def _name(selector: VectorSelector) -> str:
    assert selector.name is not None, "every selector names its metric"
    return selector.name


def grouped_by(expr: str) -> frozenset[str]:
    """Labels of the outermost grouping, of which the result has no others."""
    groups = re.findall(r"by \(([^)]*)\)", expr)
    return frozenset(re.split(r",\s*", groups[0])) - {"le"} if groups else frozenset()


def missing(expr: str, exported: Mapping[str, Set[str]]) -> list[Use]:
    """Uses of metrics, or of labels of metrics, that nobody exports."""
    return [
        use
        for use in uses(expr)
        if not use.labels <= exported.get(use.metric, frozenset()) | OF_PROMETHEUS
        or use.metric not in exported
    ]
