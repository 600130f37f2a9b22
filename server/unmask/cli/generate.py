"""`unmask generate`: completions on stdout, without a server."""

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, TextIO

import typer

from unmask.cli.flags import with_config, with_sampling
from unmask.cli.loading import load_llm
from unmask.cli.output import err
from unmask.errors import InvalidRequest
from unmask.settings import Resolved
from unmask.types import Finish, Refinement, RefinementOptions, SamplingParams

if TYPE_CHECKING:
    from unmask.llm import LLM
    from unmask.prompts import Prompt


@with_config("model", "engine")
@with_sampling
def generate(
    *,
    prompts: Annotated[
        list[str] | None, typer.Argument(help="Prompts; if none, stdin is the prompt.")
    ] = None,
    chat: Annotated[
        bool | None,
        typer.Option("--chat/--raw", help="Use the chat template; default if the model has one."),
    ] = None,
    suffix: Annotated[
        str,
        typer.Option(
            help="Text after each answer, for models that see text behind a gap; not in chats."
        ),
    ] = "",
    as_json: Annotated[
        bool,
        typer.Option("--json", help="Print a JSON object a line, with usage and reasons."),
    ] = False,
    show_steps: Annotated[
        bool, typer.Option("--show-steps", help="Show each denoising step on stderr.")
    ] = False,
    resolved: Resolved,
    sampling: SamplingParams,
) -> None:
    """Complete prompts without a server."""
    texts = prompts or [read_prompt(sys.stdin)]
    if not all(texts):
        message = "a prompt is empty" if prompts else "give a prompt as an argument, or on stdin"
        raise InvalidRequest(message, field="prompt")
    if suffix and chat:
        raise InvalidRequest("suffix is not supported with --chat", field="suffix")

    with load_llm(resolved.config) as llm:
        use_chat = llm.tokenizer.has_chat_template and not suffix if chat is None else chat
        given = [
            llm.tokenizer.apply_chat([{"role": "user", "content": text}]) if use_chat else text
            for text in texts
        ]
        if show_steps:
            for prompt in given:
                _show(llm, prompt, suffix, sampling, as_json=as_json)
            return
        for completion in llm.generate(given, sampling, suffix=suffix):
            _write(completion.text, completion.finish, as_json=as_json)


def _show(
    llm: "LLM", prompt: "Prompt", suffix: str, sampling: SamplingParams, *, as_json: bool
) -> None:
    from unmask.cli.live_answer import LiveAnswer

    answer = LiveAnswer(llm.tokenizer, llm.model.eos_token_ids)
    refinements = RefinementOptions(tokens=True)
    for event in llm.stream(prompt, sampling, refinements=refinements, suffix=suffix):
        answer.take(event)
        if isinstance(event, Refinement):
            title = f"block {event.block}, step {event.step}: {event.unresolved} unresolved"
            err.rule(title, align="left", style="dim")
            err.print(answer.render(styled=err.is_terminal))
    assert answer.finish is not None, "every stream ends with a finish"
    _write(answer.text, answer.finish, as_json=as_json)


def _write(text: str, finish: Finish, *, as_json: bool) -> None:
    if not as_json:
        typer.echo(text, color=True)  # rich would expand tabs, and typer cut escape codes
        return
    entry = {
        "text": text,
        "finish_reason": finish.reason.value,
        "stop_reason": finish.stop_reason,
        "usage": asdict(finish.usage),
    }
    typer.echo(json.dumps(entry, ensure_ascii=False))


def read_prompt(source: TextIO) -> str:
    """All of `source`, whose end a person at a terminal has to write."""
    if source.isatty():
        err.print("Write a prompt, and end it with Ctrl-D on a line of its own.")
    return source.read()
