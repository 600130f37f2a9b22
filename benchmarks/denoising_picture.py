"""Draw the denoising of an answer, step by step: `python -m benchmarks.denoising_picture`."""

import argparse
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

from unmask import LLM, SamplingParams
from unmask.types import Delta, RefinedToken, Refinement, RefinementOptions

OUT = Path(__file__).parent.parent / "docs" / "denoising.svg"
PROMPT = "Tell me a story about a fox named Mia."
CHAR_WIDTH, LINE_HEIGHT, MARGIN, LABEL_WIDTH = 7.25, 22, 18, 66
FRESH, SETTLED, MASKED, LABEL = "#0b6e4f", "#24292f", "#c8d1da", "#8b949e"


@dataclass(frozen=True, slots=True)
class Line:
    """Open block after a step, and the tokens that the step resolved."""

    label: str
    tokens: tuple[RefinedToken, ...]
    fresh: frozenset[int]


def record(llm: LLM, prompt: str, sampling: SamplingParams, num_blocks: int) -> list[Line]:
    """Lines of all steps of the first blocks of an answer."""
    ids = llm.tokenizer.apply_chat([{"role": "user", "content": prompt}])
    lines: list[Line] = []
    before: set[int] = set()
    block = None
    for event in llm.stream(ids, sampling, refinements=RefinementOptions(tokens=True)):
        if isinstance(event, Delta) or not isinstance(event, Refinement):
            continue
        if event.block >= num_blocks:
            break
        assert event.tokens is not None
        if event.block != block:
            block, before = event.block, set()
        resolved = {i for i, token in enumerate(event.tokens) if token.resolved}
        ends = [i for i in resolved if event.tokens[i].token_id in llm.model.eos_token_ids]
        shown = event.tokens[: min(ends, default=len(event.tokens))]
        lines.append(Line(f"step {event.step}", shown, frozenset(resolved - before)))
        before = resolved
    return lines


def draw(prompt: str, lines: list[Line]) -> str:
    """SVG document of the lines."""
    longest = max(sum(len(token.text) for token in line.tokens) for line in lines)
    width = 2 * MARGIN + LABEL_WIDTH + longest * CHAR_WIDTH
    height = 2 * MARGIN + LINE_HEIGHT * (len(lines) + 1)
    body = [_text(MARGIN, MARGIN + 12, LABEL, prompt)]
    for row, line in enumerate(lines):
        y = MARGIN + 12 + LINE_HEIGHT * (row + 1)
        body.append(_text(MARGIN, y, LABEL, line.label))
        x = float(MARGIN + LABEL_WIDTH)
        for i, token in enumerate(line.tokens):
            shown = token.text.replace("\n", "↵")
            if token.resolved:
                body.append(_text(x, y, FRESH if i in line.fresh else SETTLED, shown))
            else:
                size = len(shown) * CHAR_WIDTH
                body.append(
                    f'<rect x="{x + 1:.1f}" y="{y - 11}" width="{max(2.0, size - 2):.1f}" '
                    f'height="14" rx="3" fill="{MASKED}"/>'
                )
            x += len(shown) * CHAR_WIDTH
    style = "font:12px ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;white-space:pre"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height}" '
        f'viewBox="0 0 {width:.0f} {height}" style="{style}">\n'
        f'<rect width="100%" height="100%" rx="8" fill="#ffffff"/>\n'
        + "\n".join(body)
        + "\n</svg>\n"
    )


def _text(x: float, y: float, color: str, text: str) -> str:
    length = len(text) * CHAR_WIDTH
    return (
        f'<text x="{x:.1f}" y="{y}" fill="{color}" xml:space="preserve" '
        f'textLength="{length:.1f}">{escape(text)}</text>'
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", help="checkpoint folder; the embedded model if unset")
    parser.add_argument("--prompt", default=PROMPT)
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--steps", type=int, default=8, help="of a block")
    parser.add_argument("--block-length", type=int, default=32)
    parser.add_argument("--blocks", type=int, default=1)
    options = parser.parse_args()
    sampling = SamplingParams(
        max_tokens=128,
        policy="low_confidence",
        steps=options.steps,
        block_length=options.block_length,
        sub_block_length=options.block_length,  # whole, so that a step fills any of it
    )
    with LLM(options.model) as llm:
        lines = record(llm, options.prompt, sampling, options.blocks)
    options.out.write_text(draw(options.prompt, lines), encoding="utf-8")
    print(f"{len(lines)} steps in {options.out}")


if __name__ == "__main__":
    main()
