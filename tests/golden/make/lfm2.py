"""Makes tests/golden/lfm2 with transformers' layers and a port of Liquid AI's sampler, on a CPU.

`python -m tests.golden.make.lfm2`, from the root of this repository, with transformers 5.23. The
model file of the published checkpoint is not public code; its conditioning is as SGLang's extension
(github.com/Liquid4All/sglang-diffusion-lfm) describes it. The sampler is that of
github.com/Liquid4All/lfm-diffusion with the server's random numbers.
"""

import json
from dataclasses import asdict
from pathlib import Path

from tests.support.lfm2 import Reference
from tests.support.lfm2_loop import Settings, answer

FOLDER = Path(__file__).parent.parent / "lfm2"
FEW = {"t_min": 0.5, "rho": 0.2}
# Prompt length, answer length, settings.
CASES = (
    (5, 20, Settings(temperature=0.0)),
    (33, 16, Settings(seed=1)),
    (1, 9, Settings(seed=2, steps=4, **FEW)),
    (40, 24, Settings(seed=3, steps=1, **FEW)),
    (12, 16, Settings(seed=4, steps=12, temperature=0.7)),
    (19, 16, Settings(seed=5, top_k=3)),
)


def prompt(length: int) -> tuple[int, ...]:
    """Tokens of a prompt."""
    return tuple((7 + 31 * i) % 256 for i in range(length))


def main() -> None:
    """Write the checkpoint and the answers."""
    FOLDER.mkdir(exist_ok=True)
    reference = Reference.random(peak=2.0)
    reference.write(FOLDER)
    for path in FOLDER.glob("*token*"):
        path.unlink()
    (FOLDER / "chat_template.jinja").unlink(missing_ok=True)
    cases = [
        {
            "prompt": prompt(length),
            "tokens": answer(reference, prompt(length), count, settings)[0],
            "settings": asdict(settings),
        }
        for length, count, settings in CASES
    ]
    lines = ",\n".join(json.dumps(case) for case in cases)
    (FOLDER / "golden.json").write_text(f'{{"cases": [\n{lines}\n]}}\n')


if __name__ == "__main__":
    main()
