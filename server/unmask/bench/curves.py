"""Picture of a sweep: tokens a second over requests at a time, a line for each combination."""

import math
from collections.abc import Iterator, Sequence

from unmask.bench.sweep import SweepRun, best_runs
from unmask.svg import FAINT, LETTER, document, line_style, round_unit, text

PLOT_WIDTH, HEIGHT, LEFT, TOP, BOTTOM = 620, 440, 72, 56, 48
LINE = 18  # height of a line in the legend
UNANSWERED = " (no answers)"


class _Axes:
    """Logarithmic axis of requests at a time, and one of tokens a second that begins at zero."""

    def __init__(self, runs: Sequence[SweepRun]) -> None:
        self.levels = sorted({run.load.concurrency for run in runs})
        most = max(run.summary.output_tokens_per_s for run in runs)
        self.unit = round_unit(most / 5) if most > 0 else 1.0
        self.top = self.unit * max(1, math.ceil(most / self.unit))

    def x(self, level: int) -> float:
        low, high = math.log2(self.levels[0]), math.log2(self.levels[-1])
        share = (math.log2(level) - low) / (high - low) if high > low else 0.5
        return LEFT + share * (PLOT_WIDTH - LEFT)

    def y(self, rate: float) -> float:
        return HEIGHT - BOTTOM - rate / self.top * (HEIGHT - TOP - BOTTOM)


def draw(runs: Sequence[SweepRun], title: str) -> str:
    """SVG document; the fastest run of each concurrency is a filled dot."""
    axes = _Axes(runs)
    best = [id(run) for run in best_runs(runs)]
    lines: dict[str, list[SweepRun]] = {}
    for run in runs:
        lines.setdefault(str(run.combination) or "all", []).append(run)
    height = max(HEIGHT, TOP + LINE * (len(lines) + 1))
    longest = max(len(name) for name in lines) + len(UNANSWERED)
    width = PLOT_WIDTH + 64 + round(LETTER * longest)
    body = [text(LEFT, 20, title, size=14), *_grid(axes)]
    for index, (name, points) in enumerate(lines.items()):
        body += _curve(axes, index, name, points, best)
    return document(width, height, body)


def _grid(axes: _Axes) -> Iterator[str]:
    right, low = PLOT_WIDTH, HEIGHT - BOTTOM
    for index in range(round(axes.top / axes.unit) + 1):
        rate = index * axes.unit
        y = axes.y(rate)
        yield f'<line x1="{LEFT}" y1="{y:.1f}" x2="{right}" y2="{y:.1f}" stroke="{FAINT}"/>'
        yield text(LEFT - 8, y + 4, f"{rate:,g}", anchor="end")
    for level in axes.levels:
        yield text(axes.x(level), low + 18, str(level), anchor="middle")
    yield text((LEFT + right) / 2, HEIGHT - 10, "requests at a time", anchor="middle")
    yield text(LEFT - 8, TOP - 14, "tokens/s", anchor="end")


def _curve(
    axes: _Axes, index: int, name: str, runs: list[SweepRun], best: list[int]
) -> Iterator[str]:
    """Line with its dots and its legend; runs without answers are left out."""
    color, style = line_style(index)
    answered = [run for run in runs if run.summary.num_completed]
    places = [
        (axes.x(run.load.concurrency), axes.y(run.summary.output_tokens_per_s), id(run) in best)
        for run in sorted(answered, key=lambda run: run.load.concurrency)
    ]
    if places:
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y, _ in places)
        yield f'<polyline points="{points}" {style}/>'
    for x, y, is_best in places:
        fill = color if is_best else "#ffffff"
        yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{fill}" stroke="{color}"/>'
    at_x, at_y = PLOT_WIDTH + 24, TOP + LINE * index
    yield f'<line x1="{at_x}" y1="{at_y}" x2="{at_x + 24}" y2="{at_y}" {style}/>'
    suffix = "" if answered else UNANSWERED
    yield text(at_x + 32, at_y + 4, name + suffix, color=color)
