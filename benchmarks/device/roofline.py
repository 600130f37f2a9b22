"""Roofline picture of a result: kernels and steps under the device's two ceilings."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from xml.sax.saxutils import escape

Result = dict[str, Any]
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 960, 520, 64, 330, 34, 48
LINE = 12  # height of a line in the list of points
COLORS = {
    "attention": "#0b6e4f",
    "unmasking": "#8250df",
    "experts": "#bc4c00",
    "engine": "#0969da",
}
INK, FAINT = "#24292f", "#d0d7de"


@dataclass(frozen=True)
class Point:
    """Timed measurement."""

    part: str
    label: str
    flops_per_byte: float
    flops_per_s: float
    share_of_floor: float


def points(result: Result) -> Iterator[Point]:
    """All rows with bytes and operations."""
    for row in [*(result.get("attention") or []), *(result.get("attention_others") or [])]:
        shape = row["shape"]
        label = f"{shape['context']} keys, d {shape['head_dim']}"
        label += f", window {shape['window']}" if shape["window"] else ""
        label += f", {shape['held']}" if shape["held"] else ""
        yield _point("attention", label, row, row["us"] / 1e6)
    for row in result.get("unmasking") or []:
        yield _point("unmasking", f"{row['shape']['rows']} rows", row, row["us"] / 1e6)
    for row in result.get("experts") or []:
        shape = row["shape"]
        label = f"{shape['name']}, {shape['rows']} rows" + (
            f", {shape['held']}" if shape["held"] else ""
        )
        yield _point("experts", label, row, row["us"] / 1e6)
    for row in result.get("engine") or []:
        yield _point("engine", row["part"], row, row["step_ms"] / 1e3)


def _point(part: str, label: str, row: Result, seconds: float) -> Point:
    return Point(
        part,
        label,
        row["flops"] / row["bytes"],
        row["flops"] / seconds,
        row["floor_us"] / 1e6 / seconds if "floor_us" in row else row["share_of_floor"],
    )


class _Axes:
    """Logarithmic axes that hold all points and the ridge point."""

    def __init__(self, measured: list[Point], bytes_per_s: float, flops_per_s: float) -> None:
        ridge = flops_per_s / bytes_per_s
        xs = [ridge, *(point.flops_per_byte for point in measured)]
        ys = [flops_per_s, *(point.flops_per_s for point in measured)]
        self.left, self.right = math.log10(min(xs) / 2), math.log10(max(xs) * 2)
        self.bottom, self.top = math.log10(min(ys) / 2), math.log10(max(ys) * 1.5)

    def x(self, value: float) -> float:
        share = (math.log10(value) - self.left) / (self.right - self.left)
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    def y(self, value: float) -> float:
        share = (math.log10(value) - self.bottom) / (self.top - self.bottom)
        return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)

    def decades(self, low: float, high: float) -> list[float]:
        return [10.0**power for power in range(math.ceil(low), math.floor(high) + 1)]


def draw(result: Result) -> str:
    """SVG document of a result that has ceilings."""
    ceilings, measured = result["ceilings"], list(points(result))
    bytes_per_s, flops_per_s = ceilings["bytes_per_s"], ceilings["flops_per_s"]
    rates = [flops_per_s, *filter(None, [ceilings.get("fp8_flops_per_s")])]
    axes = _Axes(measured, bytes_per_s, max(rates))
    roofs = [line for rate in rates for line in _roof(axes, bytes_per_s, rate)]
    body = [*_grid(axes), *roofs, *_dots(axes, measured)]
    height = max(HEIGHT, TOP + LINE * (len(measured) + 2))
    name = (result.get("machine") or {}).get("gpu") or "CPU, dry run"
    body.append(_text(LEFT, 20, f"{name}: work per second over work per byte", size=14))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" '
        f'viewBox="0 0 {WIDTH} {height}" font-family="system-ui,sans-serif">\n'
        f'<rect width="100%" height="100%" fill="#ffffff"/>\n' + "\n".join(body) + "\n</svg>\n"
    )


def _grid(axes: _Axes) -> Iterator[str]:
    low, high = HEIGHT - BOTTOM, TOP
    for value in axes.decades(axes.left, axes.right):
        x = axes.x(value)
        yield _line(x, low, x, high, FAINT)
        yield _text(x, low + 16, f"{value:g}", anchor="middle")
    for value in axes.decades(axes.bottom, axes.top):
        y = axes.y(value)
        yield _line(LEFT, y, WIDTH - RIGHT, y, FAINT)
        yield _text(LEFT - 6, y + 4, f"{value / 1e12:g}", anchor="end")
    yield _text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 12, "FLOP per byte", anchor="middle")
    yield _text(8, TOP - 2, "TFLOP/s")


def _roof(axes: _Axes, bytes_per_s: float, flops_per_s: float) -> Iterator[str]:
    ridge = flops_per_s / bytes_per_s
    start, end = 10**axes.left, 10**axes.right
    low = max(start * bytes_per_s, 10**axes.bottom)
    yield _line(axes.x(low / bytes_per_s), axes.y(low), axes.x(ridge), axes.y(flops_per_s), INK, 2)
    yield _line(axes.x(ridge), axes.y(flops_per_s), axes.x(end), axes.y(flops_per_s), INK, 2)
    label = f"{bytes_per_s / 1e12:.2f} TB/s, {flops_per_s / 1e12:.0f} TFLOP/s"
    yield _text(axes.x(end), axes.y(flops_per_s) - 6, label, anchor="end")


def _dots(axes: _Axes, measured: list[Point]) -> Iterator[str]:
    """Dot of each point, and a list of them with their shares of the floor."""
    y = TOP + 8
    for number, point in enumerate(measured, start=1):
        color = COLORS[point.part]
        at = axes.x(point.flops_per_byte), axes.y(point.flops_per_s)
        yield f'<circle cx="{at[0]:.1f}" cy="{at[1]:.1f}" r="4.5" fill="{color}"/>'
        yield _text(at[0] + 6, at[1] - 4, str(number), color=color, size=10)
        line = f"{number} {point.label}: {point.share_of_floor:.0%}"
        yield _text(WIDTH - RIGHT + 12, y, line, color=color, size=10)
        y += LINE


def _line(x1: float, y1: float, x2: float, y2: float, color: str, width: int = 1) -> str:
    return (
        f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" '
        f'stroke="{color}" stroke-width="{width}"/>'
    )


def _text(
    x: float, y: float, text: str, *, anchor: str = "start", color: str = INK, size: int = 11
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" fill="{color}" font-size="{size}" '
        f'text-anchor="{anchor}">{escape(text)}</text>'
    )
