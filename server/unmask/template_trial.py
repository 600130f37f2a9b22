"""Renders a chat template for one short message: `python -P template_trial.py < TEMPLATE`.

A process of its own, whose time and memory are bounded, as a template may loop for ever or ask for
a string of gigabytes. Exits with 0 where it is rendered, or refuses the message; see `EXIT_BEYOND`.
"""

import resource
import sys
from datetime import datetime

EXIT_BEYOND = 3  # it wants more than is allowed; beyond the time the process is killed
CPU_S = 3
MEMORY_BYTES = 2**30
MAX_CHARS = 2**20


def main() -> int:
    """Render what is on stdin as transformers would."""
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))

    def refuse(message: str) -> None:
        raise ValueError(message)

    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
    )
    environment.globals["raise_exception"] = refuse
    environment.globals["strftime_now"] = datetime.now().strftime
    try:
        text = environment.from_string(sys.stdin.buffer.read().decode()).render(
            messages=[{"role": "user", "content": "hi"}],
            add_generation_prompt=True,
            bos_token="<s>",
            eos_token="</s>",
        )
    except MemoryError:
        return EXIT_BEYOND
    except Exception:  # its own affair: a chat is told so
        return 0
    return EXIT_BEYOND if len(text) > MAX_CHARS else 0


if __name__ == "__main__":
    sys.exit(main())
