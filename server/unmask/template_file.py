"""The chat template that `model.chat_template` names: a file, or a text; no slow imports."""

from pathlib import Path

from unmask.errors import InvalidCheckpoint, InvalidConfig
from unmask.json_file import read_json, read_text

TAGS = ("{%", "{{")  # of Jinja; a path has none
BYTE_ORDER_MARK = "\ufeff"


def is_template(text: str) -> bool:
    """True for a template, as against the path of one."""
    return any(tag in text for tag in TAGS)


def setting_of(source: str) -> str:
    """The setting with its value, for messages; a template is not spelled out."""
    return "model.chat_template" + ("" if is_template(source) else f" {source:.200}")


def template_of(source: str) -> str:
    """Template of a Jinja file, of `chat_template` in a `.json` file, or the source if it is one.

    Raises `InvalidConfig`.
    """
    if is_template(source):
        return source
    name = setting_of(source)
    try:
        template = _read(Path(source.strip()).expanduser())
    except FileNotFoundError:
        raise InvalidConfig(
            f"{name}: there is no such file; a template in place of its path has {{% or {{{{"
        ) from None
    except OSError as error:
        raise InvalidConfig(f"{name} cannot be read: {error.strerror}") from error
    except (InvalidCheckpoint, RuntimeError, ValueError) as error:
        raise InvalidConfig(f"{name} cannot be read: {error}") from error
    if not is_template(template):
        reason = "has neither {% nor {{" if template.strip() else "is empty"
        raise InvalidConfig(f"{name} {reason}, so it is no chat template")
    return template


def _read(path: Path) -> str:
    """Template in a file; raises `InvalidCheckpoint`, `OSError` or `ValueError`."""
    if path.suffix != ".json":
        return read_text(path).removeprefix(BYTE_ORDER_MARK)
    template = read_json(path).get("chat_template")
    if not isinstance(template, str):
        raise ValueError("it has no field chat_template with a text")
    return template
