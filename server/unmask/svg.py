"""Pieces of pictures drawn by hand: text, colors, round units, the document around them."""

import math
from collections.abc import Iterable
from xml.sax.saxutils import escape

LETTER = 7.5  # the most width of a letter
INK, FAINT = "#24292f", "#d0d7de"
COLORS = ("#0969da", "#bc4c00", "#0b6e4f", "#8250df", "#bf3989", "#6e7781", "#9a6700", "#cf222e")
DASHES = ("none", "6 3", "2 3")  # tell lines apart that share a color


def document(width: float, height: float, body: Iterable[str]) -> str:
    """SVG document on white."""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" font-family="system-ui,sans-serif">\n'
        '<rect width="100%" height="100%" fill="#ffffff"/>\n' + "\n".join(body) + "\n</svg>\n"
    )


def text(
    x: float, y: float, words: str, *, anchor: str = "start", color: str = INK, size: int = 12
) -> str:
    """A line of text that begins, ends or has its middle at `x`."""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" fill="{color}" font-size="{size}" '
        f'text-anchor="{anchor}">{escape(words)}</text>'
    )


def line_style(index: int) -> tuple[str, str]:
    """Color of the line `index` of a picture, and the attributes that draw it."""
    color = COLORS[index % len(COLORS)]
    dash = DASHES[index // len(COLORS) % len(DASHES)]
    style = f'fill="none" stroke="{color}" stroke-width="2" stroke-dasharray="{dash}"'
    return color, style


def round_unit(value: float) -> float:
    """The nearest 1, 2 or 5 times a power of ten that is not below `value`."""
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= value * (1 - 1e-9))
