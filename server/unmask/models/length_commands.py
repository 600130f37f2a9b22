"""Commands of a checkpoint that grow and shrink an answer, in its files' own names (DreamOn)."""

from typing import Any

from unmask.errors import InvalidCheckpoint
from unmask.models.family import RawConfig, Traits
from unmask.tokenizer import Tokenizer
from unmask.types import LengthCommands


def read_length_commands(
    traits: Traits, raw: RawConfig, tokenizer: Tokenizer, vocab_size: int
) -> LengthCommands | None:
    """Commands of a checkpoint, None for one without; raises `InvalidCheckpoint`.

    The configuration names them, else the tokenizer. As in the authors' code, an end of sequence
    deletes where no token is named that does.
    """
    if traits.length_commands is None:
        return None
    expand_text, delete_text = traits.length_commands
    expand = _checked(raw, "expand_token_id", vocab_size)
    delete = _checked(raw, "delete_token_id", vocab_size)
    if expand is None:
        expand = tokenizer.added_token_id(expand_text)
    if expand is None:
        if delete is not None:
            raise InvalidCheckpoint("config.json: delete_token_id has no expand_token_id beside it")
        return None
    deletes: list[int | None] = [delete]
    if delete is None:
        end = _checked(raw, "eos_token_id", vocab_size)
        end = tokenizer.eos_token_id if end is None else end
        deletes = [end, tokenizer.added_token_id(delete_text)]
    found = tuple(dict.fromkeys(token_id for token_id in deletes if token_id is not None))
    if not found or expand in found:
        raise InvalidCheckpoint(
            f"token {expand} expands, and {' and '.join(map(str, found)) or 'none'} deletes"
        )
    begin = tokenizer.text_of("bos_token")
    begin_id = None if begin is None else tokenizer.added_token_id(begin)
    end_id = tokenizer.eos_token_id
    return LengthCommands(
        expand,
        found,
        begin=() if begin_id is None else (begin_id,),
        end=() if end_id is None else (end_id,),
    )


def _checked(raw: RawConfig, name: str, vocab_size: int) -> int | None:
    """A token id of the configuration; of several ends of sequence the first."""
    value: Any = raw.get(name)
    if name == "eos_token_id" and isinstance(value, list):
        value = value[0] if value else None
    if value is None:
        return None
    if type(value) is not int or not 0 <= value < vocab_size:
        raise InvalidCheckpoint(
            f"config.json: {name} is {value!r:.40}, no token of a vocabulary of {vocab_size}"
        )
    return value
