"""`unmask chat`: a conversation in the terminal, its open block redrawn as it is denoised."""

import time
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from unmask.cli.console import out
from unmask.cli.flags import with_config, with_sampling
from unmask.cli.loading import load_llm
from unmask.errors import InvalidRequest
from unmask.settings import Resolved
from unmask.types import RefinementOptions, SamplingParams

if TYPE_CHECKING:
    from unmask.llm import LLM

Message = dict[str, str]
HELP = "/reset forgets the conversation, /exit or Ctrl-D ends it."


@with_config("model", "engine")
@with_sampling
def chat(
    *,
    system: Annotated[str | None, typer.Option(help="System message to begin with.")] = None,
    resolved: Resolved,
    sampling: SamplingParams,
) -> None:
    """Talk with a model, and watch its answers sharpen."""
    with load_llm(resolved.config) as llm:
        if not llm.tokenizer.has_chat_template:
            raise InvalidRequest(f"{llm.model.name} has no chat template; use `unmask generate`")
        out.print(f"{llm.model.name}. {HELP}", style="dim")
        opening = [{"role": "system", "content": system}] if system else []
        messages = list(opening)
        while (text := _ask()) is not None:
            if text == "/reset":
                messages = list(opening)
            elif text:
                _turn(llm, messages, text, sampling)


def _ask() -> str | None:
    """The next message; None at the end of the conversation."""
    try:
        text = out.input("[bold]> [/bold]").strip()
    except (EOFError, KeyboardInterrupt):
        out.print()
        return None
    return None if text in ("/exit", "/quit") else text


def _turn(llm: "LLM", messages: list[Message], text: str, sampling: SamplingParams) -> None:
    """One question and its answer, kept in `messages` unless it was refused or interrupted."""
    asked = [*messages, {"role": "user", "content": text}]
    try:
        answer = answer_live(llm, asked, sampling)
    except InvalidRequest as error:  # such as a conversation that has become too long
        out.print(f"{error}; /reset starts anew", style="red", markup=False)
    except KeyboardInterrupt:
        out.print("interrupted", style="dim")
    else:
        messages[:] = [*asked, {"role": "assistant", "content": answer}]


def answer_live(llm: "LLM", messages: list[Message], sampling: SamplingParams) -> str:
    """The answer to a conversation, drawn while it is denoised."""
    from rich.live import Live

    from unmask.cli.canvas import Canvas

    canvas = Canvas(llm.tokenizer, llm.model.eos_token_ids)
    started_s = time.perf_counter()
    ids = llm.tokenizer.apply_chat(messages)
    events = llm.stream(ids, sampling, refinements=RefinementOptions(tokens=True))
    # Where nothing can be redrawn, the answer is printed once.
    with Live(console=out, auto_refresh=False, transient=True) as live:
        for event in events:
            if canvas.take(event) and out.is_terminal:
                live.update(_last_lines(canvas.render()), refresh=True)
        live.update("", refresh=out.is_terminal)
    out.print(canvas.text, markup=False)
    assert canvas.finish is not None, "every stream ends with a finish"
    usage, elapsed_s = canvas.finish.usage, time.perf_counter() - started_s
    out.print(
        f"{usage.completion_tokens} tokens in {usage.denoising_steps} steps, "
        f"{usage.completion_tokens / max(1, usage.denoising_steps):.1f} a step, "
        f"{usage.completion_tokens / elapsed_s:.0f} a second",
        style="dim",
    )
    return canvas.text


def _last_lines(shown: Text) -> Text:
    """As much of the end as the terminal can redraw; what has scrolled away cannot be."""
    lines = shown.wrap(out, out.width)
    return Text("\n").join(lines[-max(1, out.height - 1) :])
