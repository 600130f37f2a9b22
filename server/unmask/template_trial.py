"""Renders a chat template for one short message: `python -P template_trial.py < TEMPLATE`.

Runs in a subprocess with bounded time and memory: a template may loop forever or build a string of
gigabytes. Exits with 0 if the template renders or refuses the message, else with `EXIT_BEYOND`.
"""

import json
import resource
import sys
from datetime import datetime
from typing import Any, ClassVar

from jinja2 import nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

EXIT_BEYOND = 3  # over a memory or length limit; the time limit kills the process
CPU_S = 3
MEMORY_BYTES = 2**30
MAX_CHARS = 2**20


class Generation(Extension):
    """The tag around what a model wrote, which transformers adds."""

    tags: ClassVar[set[str]] = {"generation"}  # type: ignore[misc]

    def parse(self, parser: Parser) -> list[nodes.Node]:
        """The statements inside."""
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def to_json(value: Any, ensure_ascii: bool = False, **options: Any) -> str:
    """JSON of a value, as transformers' filter of that name writes it."""
    return json.dumps(value, ensure_ascii=ensure_ascii, **options)


def main() -> int:
    """Render the template on stdin in transformers' environment; returns the exit code."""
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))

    def refuse(message: str) -> None:
        raise ValueError(message)

    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols]
    )
    environment.filters["tojson"] = to_json
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
    except Exception:  # an error of the template; `Tokenizer.apply_chat` reports it
        return 0
    return EXIT_BEYOND if len(text) > MAX_CHARS else 0


if __name__ == "__main__":
    sys.exit(main())
