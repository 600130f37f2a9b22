"""Formats in which families of models write calls, told from their chat templates."""

import re
from dataclasses import dataclass
from typing import Literal

from unmask.errors import InvalidRequest

ARGUMENTS = re.compile(r"""\\?["']arguments\\?["']\s*:""")
# Marks of formats whose arguments are no JSON, and the families that have them.
OTHERS = {
    "<function=": "Qwen3-Coder's",
    "<arg_key>": "GLM's",
}


@dataclass(frozen=True, slots=True)
class CallFormat:
    """Tags around calls, each of which is a JSON object of a name and arguments, or another text.

    Calls have tags of their own, on `lines` of their own, or one pair around a `list` of all calls.
    Those of `gemma` and `python` are a name before arguments in another notation, each between tags
    of its own or all in a list. A chat template with this format has its `mark`.
    """

    opening: str
    closing: str
    kind: Literal["lines", "list", "gemma", "python"] = "lines"

    @property
    def mark(self) -> str:
        """Text of chat templates."""
        return f"{self.opening}[" if self.kind == "python" else self.opening


HERMES = CallFormat("<tool_call>", "</tool_call>")
"""The format of Hermes, Qwen, and so SDAR, Dream, Fast-dLLM and WeDLM; LLaDA2 too."""
NEMOTRON = CallFormat("<TOOLCALL>", "</TOOLCALL>", "list")
"""The format of Nemotron."""
GEMMA = CallFormat("<|tool_call>", "<tool_call|>", "gemma")
"""The format of Gemma 4, and so DiffusionGemma."""
LFM2 = CallFormat("<|tool_call_start|>", "<|tool_call_end|>", "python")
"""The format of LFM2 and LFM2.5."""
FORMATS = HERMES, NEMOTRON, GEMMA, LFM2


def format_of_template(template: str | None) -> CallFormat:
    """Format of the calls of a chat template; raises `InvalidRequest` if it has none we write."""
    if template is None:
        raise _refusal("this model has no chat template")
    if not re.search(r"\btools\b", template):
        raise _refusal("this model's chat template takes no tools")
    for mark, owner in OTHERS.items():
        if mark in template:
            raise _refusal(f"this model's chat template writes calls in {owner} format, {mark}")
    for form in FORMATS:
        is_lines = form.kind == "lines"
        if form.mark in template and (not is_lines or ARGUMENTS.search(template)):
            return form
    raise _refusal("this model's chat template writes calls in a format that is not known")


def _refusal(reason: str) -> InvalidRequest:
    known = " or ".join(form.opening for form in FORMATS)
    return InvalidRequest(
        f"tools are not supported: {reason}; a template with calls between tags is needed, {known}",
        field="tools",
        code="unsupported_parameter",
    )
