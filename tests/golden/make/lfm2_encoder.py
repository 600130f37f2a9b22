"""Makes tests/golden/lfm2_encoder with transformers' layers and the authors' loop, on a CPU.

`python -m tests.golden.make.lfm2_encoder`, from the root of this repository, with transformers
5.23. Attention without a mask and centred convolutions are those of the model file beside Liquid
AI's weights, as transformers' Lfm2Bidirectional has them; the loop is that of the model card.
"""

import json
from pathlib import Path

from tests.support.lfm2_encoder import Reference

FOLDER = Path(__file__).parent.parent / "lfm2_encoder"
CASES = ((5, 12), (33, 8), (1, 16), (20, 1))  # lengths of prompt and answer


def main() -> None:
    """Write the checkpoint and the answers."""
    FOLDER.mkdir(exist_ok=True)
    reference = Reference.random()
    reference.write(FOLDER)
    for path in (*FOLDER.glob("*token*"), *FOLDER.glob("*.jinja")):
        path.unlink()
    prompts = [(tuple((7 + 31 * i) % 256 for i in range(n)), count) for n, count in CASES]
    cases = [{"prompt": p, "tokens": reference.fill(p, count)} for p, count in prompts]
    lines = ",\n".join(json.dumps(case) for case in cases)
    (FOLDER / "golden.json").write_text(f'{{"cases": [\n{lines}\n]}}\n')


if __name__ == "__main__":
    main()
