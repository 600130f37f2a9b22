"""Chat templates: checked before they are used, and rendered fast where chats are plain."""

import functools
import logging
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from jinja2 import TemplateSyntaxError
from transformers.utils import chat_template_utils

from unmask import template_trial
from unmask.errors import InvalidCheckpoint, InvalidConfig
from unmask.json_file import read_json
from unmask.template_file import setting_of, template_of

logger = logging.getLogger(__name__)

FILE = "chat_template.json"
TRIAL_S = 60.0  # wall time on a busy machine for a trial of at most `CPU_S`
PLAIN = frozenset({"role", "content", "name"})
# The library's own environment: sandboxed, and with the functions that templates expect.
COMPILE: Callable[[str], Any] | None = getattr(chat_template_utils, "_compile_jinja_template", None)
BEYOND = (
    f"takes more than {template_trial.CPU_S} s or {template_trial.MEMORY_BYTES >> 20} MiB for one "
    "short message"
)


def read_template(folder: Path) -> str | None:
    """Template of `chat_template.json`, which processors of several inputs have; None if none."""
    template = read_json(folder / FILE, optional=True).get("chat_template")
    return template if isinstance(template, str) else None


def check_templates(templates: Any, folder: Path) -> None:
    """Raise `InvalidCheckpoint` if a chat template, or one of several by name, is unbounded.

    One with an error of syntax is only logged, as completions need none.
    """
    for template in templates.values() if isinstance(templates, dict) else [templates]:
        if isinstance(template, str) and not _is_bounded(template):
            raise InvalidCheckpoint(f"the chat template of {folder} {BEYOND}")
        # Compiled here only after the trial: constants fold.
        if isinstance(template, str) and (error := _fault_of(template)) is not None:
            logger.warning(
                "the chat template of %s has an error, so chats are refused: %s", folder, error
            )


def named_template(source: str) -> str:
    """Template that `model.chat_template` names, checked; raises `InvalidConfig`."""
    template, name = template_of(source), setting_of(source)
    if not _is_bounded(template):
        raise InvalidConfig(f"{name} {BEYOND}")
    if (error := _fault_of(template)) is not None:
        raise InvalidConfig(f"{name} has an error: {error}")
    return template


def _fault_of(template: str) -> str | None:
    """Why a template does not compile, in one line; None if it does."""
    try:
        if COMPILE is not None:
            COMPILE(template)
    except TemplateSyntaxError as error:
        return f"{error.message} (line {error.lineno})"
    except SyntaxError as error:  # of the Python that Jinja makes of it, as are its lines
        return error.msg
    except Exception as error:  # of constants too, which are computed here
        return str(error)
    return None


@functools.lru_cache(maxsize=64)
def _is_bounded(template: str) -> bool:
    """True if a subprocess renders a template within its time and memory limits."""
    command = [sys.executable, "-P", template_trial.__file__]
    try:
        run = subprocess.run(
            command, input=template.encode(errors="replace"), capture_output=True, timeout=TRIAL_S
        )
    except subprocess.TimeoutExpired:
        return False
    except OSError as error:  # the process could not be started; not the template's fault
        logger.warning("chat template: not checked for endless loops: %s", error)
        return True
    return run.returncode >= 0 and run.returncode != template_trial.EXIT_BEYOND


class ChatRenderer:
    """Renders conversations of texts, in a third of the library's time and to the same text."""

    def __init__(self, source: str, special_tokens: Mapping[str, str]) -> None:
        """A template's source, and variables that all chats have."""
        assert COMPILE is not None, "`of` has looked"
        self._template, self.source = COMPILE(source), source
        self._special_tokens = special_tokens
        self._variables = {
            **self._template.globals,
            **{"tools": None, "documents": None, **special_tokens},
        }

    def __reduce__(self) -> tuple[Any, ...]:
        return ChatRenderer, (self.source, self._special_tokens)  # code is compiled anew

    @classmethod
    def of(cls, inner: Any) -> Self | None:
        """The renderer of a tokenizer's template; None for several, or without the library's."""
        source, special = inner.chat_template, inner.special_tokens_map
        is_text = isinstance(source, str) and all(map(_is_text, special.values()))
        try:
            return cls(source, special) if is_text and COMPILE is not None else None
        except Exception:  # which the library raises again, for each conversation
            return None

    def takes(self, turns: Sequence[Mapping[str, Any]], source: object) -> bool:
        """True for a conversation of texts and a tokenizer that still has this template."""
        return (
            source is self.source
            and bool(turns)
            and all(turn.keys() <= PLAIN and all(map(_is_text, turn.values())) for turn in turns)
        )

    def render(self, turns: Sequence[Mapping[str, Any]], *, begins_answer: bool) -> str:
        """Text of a conversation; raises whatever the template does."""
        template = self._template
        variables = {
            **self._variables,
            "messages": turns,
            "add_generation_prompt": begins_answer,
        }
        # `Template.render` would collect the globals again, in half of its time.
        context = template.new_context(variables, shared=True)
        return "".join(template.root_render_func(context))


def _is_text(value: object) -> bool:
    return type(value) is str
