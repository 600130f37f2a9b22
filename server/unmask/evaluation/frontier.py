"""Picture of policies: accuracy over tokens per forward pass, a line for each policy."""

import math
from collections.abc import Iterator, Sequence

from unmask.evaluation.policies import PolicyResult
from unmask.svg import FAINT, LETTER, document, line_style, round_unit, text

PLOT_WIDTH, HEIGHT, LEFT, TOP, BOTTOM = 620, 460, 72, 56, 48
LINE = 18  # height of a line in the legend
BEST = "no setting is better"
LEAST = 0.05  # of accuracy that the axis spans


class _Axes:
    """Axis of tokens per forward from zero, and one of accuracy around what was found."""

    def __init__(self, results: Sequence[PolicyResult]) -> None:
        most = max(one.result.tokens_per_forward for one in results)
        accuracies = [one.result.accuracy for one in results]
        self.unit_x = round_unit(max(most, 1e-9) / 6)
        self.right = self.unit_x * math.ceil(most / self.unit_x + 1e-9)
        self.unit_y = round_unit(max(LEAST, max(accuracies) - min(accuracies)) / 6)
        self.low = self.unit_y * math.floor(min(accuracies) / self.unit_y)
        self.high = self.low + self.unit_y
        while self.high < max(accuracies) - 1e-9:
            self.high += self.unit_y

    def place(self, one: PolicyResult) -> tuple[float, float]:
        return self.x(one.result.tokens_per_forward), self.y(one.result.accuracy)

    def x(self, tokens: float) -> float:
        return LEFT + tokens / self.right * (PLOT_WIDTH - LEFT)

    def y(self, accuracy: float) -> float:
        share = (accuracy - self.low) / (self.high - self.low)
        return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)


def draw(results: Sequence[PolicyResult], title: str) -> str:
    """SVG document; results that none beats are filled dots, joined by a broad line."""
    axes = _Axes(results)
    lines: dict[str, list[PolicyResult]] = {}
    for one in results:
        lines.setdefault(one.policy, []).append(one)
    body = [text(LEFT, 20, title, size=14), *_grid(axes), *_frontier(axes, results, len(lines))]
    for index, (name, points) in enumerate(lines.items()):
        body += _curve(axes, index, name, points)
    width = PLOT_WIDTH + 64 + round(LETTER * max(map(len, [*lines, BEST])))
    return document(width, max(HEIGHT, TOP + LINE * (len(lines) + 2)), body)


def _grid(axes: _Axes) -> Iterator[str]:
    low = HEIGHT - BOTTOM
    for index in range(round((axes.high - axes.low) / axes.unit_y) + 1):
        accuracy = axes.low + index * axes.unit_y
        y = axes.y(accuracy)
        yield f'<line x1="{LEFT}" y1="{y:.1f}" x2="{PLOT_WIDTH}" y2="{y:.1f}" stroke="{FAINT}"/>'
        yield text(LEFT - 8, y + 4, f"{100 * accuracy:.3g} %", anchor="end")
    for index in range(round(axes.right / axes.unit_x) + 1):
        tokens = index * axes.unit_x
        yield text(axes.x(tokens), low + 18, f"{tokens:g}", anchor="middle")
    yield text((LEFT + PLOT_WIDTH) / 2, HEIGHT - 10, "tokens per forward pass", anchor="middle")
    yield text(LEFT - 8, TOP - 14, "right", anchor="end")


def _frontier(axes: _Axes, results: Sequence[PolicyResult], index: int) -> Iterator[str]:
    """Line through the best results, and its place `index` in the legend."""
    best = sorted(axes.place(one) for one in results if one.is_best)
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in best)
    style = f'fill="none" stroke="{FAINT}" stroke-width="9"'
    yield f'<polyline points="{points}" {style}/>'
    at_x, at_y = PLOT_WIDTH + 24, TOP + LINE * index
    yield f'<line x1="{at_x}" y1="{at_y}" x2="{at_x + 24}" y2="{at_y}" {style}/>'
    yield text(at_x + 32, at_y + 4, BEST)


def _curve(axes: _Axes, index: int, name: str, points: list[PolicyResult]) -> Iterator[str]:
    """Line of a policy through its settings, its dots and its legend."""
    color, style = line_style(index)
    joined = " ".join(f"{x:.1f},{y:.1f}" for x, y in map(axes.place, points))
    yield f'<polyline points="{joined}" {style}/>'
    for one in points:
        (x, y), fill = axes.place(one), color if one.is_best else "#ffffff"
        dot = f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{fill}" stroke="{color}">'
        yield f"{dot}<title>{name} {one.label}</title></circle>"
    at_x, at_y = PLOT_WIDTH + 24, TOP + LINE * index
    yield f'<line x1="{at_x}" y1="{at_y}" x2="{at_x + 24}" y2="{at_y}" {style}/>'
    yield text(at_x + 32, at_y + 4, name, color=color)
