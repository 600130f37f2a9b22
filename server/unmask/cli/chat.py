"""`unmask chat`: conversation in the terminal that redraws the open block at each step."""

import time
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from unmask.cli.flags import with_config, with_sampling
from unmask.cli.loading import load_llm
from unmask.cli.output import out
from unmask.errors import InvalidRequest
from unmask.settings import Resolved
from unmask.types import RefinementOptions, SamplingParams

if TYPE_CHECKING:
    from unmask.llm import LLM

Message = dict[str, str]
HELP = "/reset starts a new conversation, /exit or Ctrl-D quits."


@with_config("model", "engine")
@with_sampling
def chat(
    *,
    system: Annotated[str | None, typer.Option(help="System message of the conversation.")] = None,
    resolved: Resolved,
    sampling: SamplingParams,
) -> None:
    """Chat with a model and watch its answers being denoised."""
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
    """Answer a message; extends `messages` unless the request was refused or interrupted."""
    conversation = [*messages, {"role": "user", "content": text}]
    try:
        answer = answer_live(llm, conversation, sampling)
    except InvalidRequest as error:  # for example, the conversation exceeds the context
        out.print(f"{error}; /reset starts a new conversation", style="red", markup=False)
    except KeyboardInterrupt:
        out.print("interrupted", style="dim")
    else:
        messages[:] = [*conversation, {"role": "assistant", "content": answer}]


def answer_live(llm: "LLM", messages: list[Message], sampling: SamplingParams) -> str:
    """Answer to a conversation, redrawn in the terminal at each step."""
    from rich.live import Live

    from unmask.cli.live_answer import LiveAnswer

    answer = LiveAnswer(llm.tokenizer, llm.model.eos_token_ids)
    started_s = time.perf_counter()
    ids = llm.tokenizer.apply_chat(messages)
    events = llm.stream(ids, sampling, refinements=RefinementOptions(tokens=True))
    # Without a terminal the answer is printed once, at its end.
    with Live(console=out, auto_refresh=False, transient=True) as live:
        for event in events:
            if answer.take(event) and out.is_terminal:
                live.update(_last_lines(answer.render()), refresh=True)
        live.update("", refresh=out.is_terminal)
    typer.echo(answer.text, color=True)
    assert answer.finish is not None, "every stream ends with a finish"
    usage, elapsed_s = answer.finish.usage, time.perf_counter() - started_s
    out.print(
        f"{usage.completion_tokens} tokens in {usage.denoising_steps} steps, "
        f"{usage.completion_tokens / max(1, usage.denoising_steps):.1f} tokens/step, "
        f"{usage.completion_tokens / elapsed_s:.0f} tokens/s",
        style="dim",
    )
    return answer.text


def _last_lines(text: Text) -> Text:
    """Last lines that fit the terminal; lines that scrolled away cannot be redrawn."""
    lines = text.wrap(out, out.width)
    return Text("\n").join(lines[-max(1, out.height - 1) :])
