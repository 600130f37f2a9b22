"""The format of calls is told from a chat template, and unknown ones are refused by name."""

import pytest

from tests.support.tiny import CHAT_TEMPLATE
from tests.support.tool_chats import (
    GEMMA_TEMPLATE,
    HERMES_TEMPLATE,
    LFM2_TEMPLATE,
    NEMOTRON_TEMPLATE,
)
from unmask.api.tools.formats import GEMMA, HERMES, LFM2, NEMOTRON, format_of_template
from unmask.errors import InvalidRequest


@pytest.mark.parametrize(
    ("template", "form"),
    [
        (HERMES_TEMPLATE, HERMES),
        (NEMOTRON_TEMPLATE, NEMOTRON),
        (GEMMA_TEMPLATE, GEMMA),
        (LFM2_TEMPLATE, LFM2),
        # The spellings of published templates.
        ('{% if tools %}{\\"name\\": <name>, \\"arguments\\": <a>}<tool_call>', HERMES),
        ('{% if tools %}{{ \'<tool_call>\\n{"name": "\' }}{{ \'", "arguments": \' }}', HERMES),
    ],
)
def test_a_template_shows_the_format_of_its_calls(template, form):
    assert format_of_template(template) is form


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        (None, "no chat template"),
        (CHAT_TEMPLATE, "takes no tools"),
        ("{{ tools }} <tool_call>\n<function=f>", "Qwen3-Coder's format"),
        ("{{ tools }} <tool_call>f<arg_key>a</arg_key>", "GLM's format"),
        ("{{ tools }} [f(a=5)]", "not known"),
        ("{{ tools }} <|tool_call_start|>{'name': 'f'}", "not known"),
    ],
)
def test_a_template_with_other_calls_or_none_is_refused_by_name(template, reason):
    with pytest.raises(InvalidRequest, match=reason) as error:
        format_of_template(template)
    assert error.value.field == "tools"
    assert error.value.code == "unsupported_parameter"
