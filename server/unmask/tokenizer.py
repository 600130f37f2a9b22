"""Text to tokens and back, chat templates, and incremental decoding for streams."""

import functools
import logging
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tokenizers.decoders import ByteLevel
from transformers import PreTrainedTokenizerFast

from unmask import template_trial
from unmask.byte_bpe import is_byte_bpe, read_byte_bpe
from unmask.byte_decoder import ByteDecoder
from unmask.control_tokens import ControlTokens, control_ids
from unmask.errors import InvalidCheckpoint, InvalidRequest, context_exceeded
from unmask.text_length import chars_per_token

logger = logging.getLogger(__name__)

REPLACEMENT = "�"
FILES = "token*", "vocab*", "*.model", "*.tiktoken"  # one of which every tokenizer has
MAX_DIGITS = 9  # of a token id
MAX_HELD = 16  # tokens of no whole text; a character has four at most
LONG_TEXT = 2_000  # characters, from which on other threads go on while a text is encoded
TRIAL_S = 15.0  # of a busy machine, for what takes at most a few of a core


class Numbers:
    """What stands in for a tokenizer where a checkpoint has none: text is token ids, `" 12 7"`."""

    eos_token_id = mask_token_id = chat_template = None

    def encode(self, text: str, **_: Any) -> list[int]:
        """The ids that a text consists of; raises `InvalidRequest`."""
        for word in text.split():
            if not (word.isascii() and word.isdigit() and len(word) <= MAX_DIGITS):
                raise InvalidRequest(
                    f"this checkpoint has no tokenizer: give token ids, also as text; {word!r:.40} "
                    "is none"
                )
        return [int(word) for word in text.split()]

    def decode(self, ids: Sequence[int], **_: Any) -> str:
        """Every id, with a space before it."""
        return "".join(f" {i}" for i in ids)

    def get_added_vocab(self) -> dict[str, int]:
        """Nothing."""
        return {}


def _check_templates(templates: Any, folder: Path) -> None:
    """Raise `InvalidCheckpoint` for a chat template without end; there may be several by name."""
    for template in templates.values() if isinstance(templates, dict) else [templates]:
        if isinstance(template, str) and not _ends(template):
            raise InvalidCheckpoint(
                f"the chat template of {folder} takes more than {template_trial.CPU_S} s or "
                f"{template_trial.MEMORY_BYTES >> 20} MiB for one short message"
            )


@functools.lru_cache(maxsize=64)
def _ends(template: str) -> bool:
    """Whether a template is rendered within bounds, which a process of its own finds out."""
    command = [sys.executable, "-P", template_trial.__file__]
    try:
        run = subprocess.run(
            command, input=template.encode(errors="replace"), capture_output=True, timeout=TRIAL_S
        )
    except subprocess.TimeoutExpired:
        return False
    except OSError as error:  # no process can be had, which is no fault of the template
        logger.warning("the chat template is not tried: %s", error)
        return True
    return run.returncode >= 0 and run.returncode != template_trial.EXIT_BEYOND


class Tokenizer:
    """A Hugging Face tokenizer behind the few calls the server needs; thread-safe to read."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        # The library below a fast tokenizer takes a third of its time. Others have their own.
        is_fast = type(inner) is PreTrainedTokenizerFast
        self._backend = inner.backend_tokenizer if is_fast else None
        # Whether a text is the bytes of its tokens, so that whole characters need no context.
        self.decodes_bytes = is_fast and isinstance(inner.backend_tokenizer.decoder, ByteLevel)
        if self._backend is not None:
            self._backend.no_truncation()
            self._backend.no_padding()
        self._byte_decoder: ByteDecoder | None = None
        if self.decodes_bytes:
            added = inner.backend_tokenizer.get_added_tokens_decoder()
            special = frozenset(i for i, token in added.items() if token.special)
            self._byte_decoder = ByteDecoder(inner.backend_tokenizer.id_to_token, special)
        self._texts: dict[int, str] = {}
        self._reserved: frozenset[int] = frozenset()

    @classmethod
    def from_folder(cls, folder: Path) -> "Tokenizer":
        """Load `tokenizer.json` and its chat template; raises `InvalidCheckpoint`.

        Without any file of a tokenizer, tokens are `Numbers`.
        """
        if not any(list(folder.glob(pattern)) for pattern in FILES):
            logger.warning("%s has no tokenizer: prompts and answers are token ids", folder)
            return cls(Numbers())
        # tokenizer.json says everything; AutoTokenizer would try to make sense of config.json too,
        # and takes long to import.
        kind: type[Any] = PreTrainedTokenizerFast
        if not (folder / "tokenizer.json").is_file():
            if is_byte_bpe(folder):
                inner = read_byte_bpe(folder)
                _check_templates(inner.chat_template, folder)
                return cls(inner)
            from transformers import AutoTokenizer

            kind = AutoTokenizer
        try:
            tokenizer = cls(
                kind.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)
            )
        except Exception as error:  # of several libraries, each with its own kinds
            reason = str(error).strip().splitlines()[:1] or [type(error).__name__]
            raise InvalidCheckpoint(f"no usable tokenizer in {folder}: {reason[0]}") from error
        _check_templates(tokenizer._inner.chat_template, folder)
        return tokenizer

    @property
    def eos_token_id(self) -> int | None:
        """The tokenizer's own end-of-sequence token, if it names one."""
        value: int | None = self._inner.eos_token_id
        return value

    @property
    def mask_token_id(self) -> int | None:
        """The token that the tokenizer itself calls its mask, if it does."""
        value: int | None = getattr(self._inner, "mask_token_id", None)
        return value

    def added_token_id(self, text: str) -> int | None:
        """The id of a token that was added to the vocabulary, such as a special one, if it is."""
        added: dict[str, int] = self._inner.get_added_vocab()
        return added.get(text)

    @property
    def num_tokens(self) -> int | None:
        """One more than the largest id with a text; None if any id may have one."""
        if isinstance(self._inner, Numbers):
            return None
        ids: dict[str, int] = self._inner.get_vocab()
        return max(ids.values(), default=-1) + 1

    @property
    def has_chat_template(self) -> bool:
        """Whether `apply_chat` can work."""
        return self._inner.chat_template is not None

    def encode(self, text: str, *, add_special_tokens: bool = False) -> list[int]:
        """Token ids of `text`; special tokens spelled out in it are recognised."""
        if self._backend is not None:
            return _encode_fast(self._backend, text, add_special_tokens=add_special_tokens)
        ids: list[int] = self._inner.encode(text, add_special_tokens=add_special_tokens)
        return ids

    @functools.cached_property
    def chars_per_token(self) -> int | None:
        """The most characters that a token stands for; None where nothing bounds them."""
        return None if self._backend is None else chars_per_token(self._backend.to_str())

    def check_length(self, text: str, max_tokens: int, field: str) -> None:
        """Raise `InvalidRequest` for a text that has more than `max_tokens`, whatever is in it."""
        most = self.chars_per_token
        if most is not None and len(text) > most * max_tokens:
            raise context_exceeded(
                max_tokens,
                f"{len(text)} characters are at least {-(-len(text) // most)} tokens",
                field,
            )

    def decode(self, token_ids: Sequence[int], *, skip_special_tokens: bool = True) -> str:
        """Text of `token_ids`; bytes that are no whole character become U+FFFD."""
        text: str
        if self._byte_decoder is not None and skip_special_tokens:
            return self._byte_decoder.decode(token_ids)
        if self._backend is not None:
            text = self._backend.decode(list(token_ids), skip_special_tokens=skip_special_tokens)
        else:
            text = self._inner.decode(
                list(token_ids),
                skip_special_tokens=skip_special_tokens,
                clean_up_tokenization_spaces=False,
            )
        return text

    def token_text(self, token_id: int) -> str:
        """Text of a single token, special tokens spelled out."""
        text = self._texts.get(token_id)
        if text is None:
            text = self._texts[token_id] = self.decode([token_id], skip_special_tokens=False)
        return text

    def reserve(self, token_ids: Iterable[int]) -> None:
        """Let no text of a message yield these tokens of the model, nor any special one.

        Takes a second for a large vocabulary with a chat template.
        """
        self._reserved = frozenset(token_ids)
        self.__dict__.pop("_controls", None)
        if self.has_chat_template:
            _ = self._controls

    @functools.cached_property
    def _controls(self) -> ControlTokens:
        return ControlTokens(
            self._inner, self._backend, control_ids(self._inner, self._backend, self._reserved)
        )

    def apply_chat(
        self,
        messages: Sequence[Mapping[str, Any]],
        *,
        add_generation_prompt: bool = True,
        continue_final_message: bool = False,
        template_options: Mapping[str, Any] | None = None,
        max_tokens: int | None = None,
    ) -> list[int]:
        """Token ids of a conversation; raises `InvalidRequest` when the template refuses it.

        So does a text that can only have more than `max_tokens`, before it is encoded. Control
        tokens come from the template alone: where a message spells one, it is text.
        """
        if not self.has_chat_template:
            raise InvalidRequest("this model has no chat template; use /v1/completions")
        controls = self._controls

        def render(turns: list[Any], options: Mapping[str, Any]) -> str:
            try:
                text: str = self._inner.apply_chat_template(
                    turns,
                    tokenize=False,
                    add_generation_prompt=add_generation_prompt and not continue_final_message,
                    continue_final_message=continue_final_message,
                    **options,
                )
            except Exception as error:  # templates raise whatever jinja and their authors chose
                raise InvalidRequest(
                    f"the chat template refused the messages: {controls.plain(str(error))}",
                    field="messages",
                ) from error
            return text

        options = template_options or {}
        most = self.chars_per_token
        if max_tokens is not None and most is not None:
            given = sum(len(text) for m in messages for text in m.values() if isinstance(text, str))
            if given > most * max_tokens:  # most likely too long, and guarding it takes long
                text = render([dict(message) for message in messages], options)
                self.check_length(text, max_tokens, "messages")
        text = render(
            [controls.guard_message(message) for message in messages],
            {name: controls.guard(value) for name, value in options.items()},
        )
        if max_tokens is not None:
            self.check_length(controls.plain(text), max_tokens, "messages")
        return controls.encode(text)


def _encode_fast(backend: Any, text: str, *, add_special_tokens: bool) -> list[int]:
    ids: list[int]
    if len(text) < LONG_TEXT:
        ids = backend.encode(text, add_special_tokens=add_special_tokens).ids
    else:  # only batches leave the interpreter to other threads
        (encoding,) = backend.encode_batch_fast([text], add_special_tokens=add_special_tokens)
        ids = encoding.ids
    return ids


class StreamDecoder:
    """Decodes a growing token sequence into text that is only ever appended to.

    Text is held back while its last character may still change. Tokens before a point at which the
    text is whole are told and kept as context only: decoders treat the first token of a text
    apart, and those of bytes give up a run of them that is cut in a character. The text does not
    depend on the pieces in which tokens come.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._context: list[int] = []
        self._context_text = ""
        self._held: list[int] = []

    def push(self, token_ids: Sequence[int]) -> str:
        """Text made final by `token_ids`."""
        if not token_ids:
            return ""
        if self._tokenizer.decodes_bytes:
            return self._push_bytes(token_ids)
        if not self._held:
            text = self._tokenizer.decode([*self._context, *token_ids])
            fresh = text[len(self._context_text) :]
            if text.startswith(self._context_text) and REPLACEMENT not in fresh:
                self._tell(token_ids, fresh)
                return fresh
        return "".join(self._push_one(token_id) for token_id in token_ids)

    def flush(self) -> str:
        """The rest of the text, incomplete characters included."""
        fresh = self._text_of(self._held)
        self._context, self._context_text, self._held = [], "", []
        return fresh

    def _push_bytes(self, token_ids: Sequence[int]) -> str:
        """Text made final where a text is the bytes of its tokens and needs no context."""
        self._held.extend(token_ids)
        text = self._tokenizer.decode(self._held)
        if not text.endswith(REPLACEMENT):
            self._held.clear()
            return text
        if len(self._held) > MAX_HELD and (cut := self._cut(text)) is not None:
            text = self._tokenizer.decode(self._held[:cut])
            del self._held[:cut]
            return text
        return ""

    def _push_one(self, token_id: int) -> str:
        self._held.append(token_id)
        fresh = self._text_of(self._held)
        if not fresh.endswith(REPLACEMENT):
            return self._let_go(len(self._held), fresh)
        if len(self._held) > 1 and (cut := self._whole_from()) is not None:
            return self._let_go(cut, self._text_of(self._held[:cut])) + self._let_go(
                len(self._held), self._text_of(self._held)
            )
        if len(self._held) > MAX_HELD and (cut := self._cut(fresh)) is not None:
            return self._let_go(cut, self._text_of(self._held[:cut]))
        return ""

    def _whole_from(self) -> int | None:
        """The number of held tokens, bytes of nothing, without which the rest is whole."""
        for cut in range(1, len(self._held)):
            rest = self._text_of(self._held[cut:], alone=True)
            if rest and not rest.endswith(REPLACEMENT):
                return cut
        return None

    def _cut(self, fresh: str) -> int | None:
        """A place to cut the held tokens so that nothing is lost; they are no one character."""
        for cut in range(len(self._held) - 1, len(self._held) - 4, -1):
            rest = self._text_of(self._held[cut:], alone=True)
            if self._text_of(self._held[:cut]) + rest == fresh:
                return cut
        return None

    def _text_of(self, token_ids: Sequence[int], *, alone: bool = False) -> str:
        """Text of tokens that follow the context."""
        if not alone:
            text = self._tokenizer.decode([*self._context, *token_ids])
            fresh = text[len(self._context_text) :]
            if text.startswith(self._context_text) and REPLACEMENT not in self._context_text:
                return fresh
            # Bytes of no character spoil those beside them, in either direction.
            apart = self._tokenizer.decode(token_ids)
            spoils = not text.startswith(self._context_text)
            return apart if spoils or apart.count(REPLACEMENT) < fresh.count(REPLACEMENT) else fresh
        return self._tokenizer.decode(token_ids)

    def _let_go(self, num_tokens: int, fresh: str) -> str:
        told, self._held = self._held[:num_tokens], self._held[num_tokens:]
        self._tell(told, fresh)
        return fresh

    def _tell(self, token_ids: Sequence[int], fresh: str) -> None:
        """Keep the last tokens as context, as few as have a whole text of their own."""
        known = [*self._context, *token_ids]
        if not fresh and len(known) <= MAX_HELD:
            self._context = known  # of tokens without a text, such as special ones
            return
        for length in range(4, 8):  # a character has four tokens at most
            tail = known[-length:]
            text = self._tokenizer.decode(tail)
            if text and REPLACEMENT not in text:
                self._context, self._context_text = tail, text
                return
        if not self._context_text or REPLACEMENT in self._context_text:
            self._context = list(token_ids[-MAX_HELD:])
            self._context_text = self._tokenizer.decode(self._context)
