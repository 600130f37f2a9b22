"""Tokenizer with chat templates."""

import functools
import logging
from collections.abc import Iterable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Self

from tokenizers.decoders import ByteLevel
from transformers import PreTrainedTokenizerFast

from unmask import lfs_pointer
from unmask.byte_bpe import check_added_tokens, is_byte_bpe, read_byte_bpe
from unmask.byte_decoder import BYTE_TOKEN, ByteDecoder, ByteStream, byte_level
from unmask.chat_templates import ChatRenderer, check_templates, read_template
from unmask.control_tokens import SHOWN, ControlTokens, control_ids, fast_ids
from unmask.errors import InvalidCheckpoint, InvalidRequest, context_exceeded
from unmask.id_tokenizer import IdTokenizer as IdTokenizer
from unmask.stream_decoder import REPLACEMENT, StreamDecoder
from unmask.text_length import chars_per_token

logger = logging.getLogger(__name__)

IMAGE_TYPE = "image"  # most templates' type of parts that are images
TOKENIZER, PIECES = "tokenizer.json", "tokenizer.model"
FILES = "token*", "vocab*", "*.model", "*.tiktoken"  # every tokenizer has one of them


def _reason(path: Path, error: Exception) -> str:
    """Why a tokenizer was not read, in one line."""
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
    if not path.is_file():
        if path.with_name(PIECES).is_file() and find_spec("sentencepiece") is None:
            reason = f"{PIECES} needs the packages sentencepiece and protobuf"
        return (
            f"{reason.rstrip(' .:')}. There is no {path.name}: save one with transformers' "
            "save_pretrained, and name its folder with --tokenizer"
        )
    return f"{path.name} {lfs_pointer.MEANING}" if lfs_pointer.is_lfs_pointer(path) else reason


def has_tokenizer(folder: Path) -> bool:
    """True if a folder has a file of a tokenizer."""
    return any(list(folder.glob(pattern)) for pattern in FILES)


class Tokenizer:
    """Hugging Face tokenizer behind the calls that the server needs; thread-safe."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        # Calling the Rust tokenizer directly takes a third of the time of a fast tokenizer's calls.
        # Subclasses may override these calls.
        is_fast = type(inner) is PreTrainedTokenizerFast
        self._silent_ids: frozenset[int] | None = None
        self._backend = inner.backend_tokenizer if is_fast else None
        if self._backend is not None:
            self._backend.no_truncation()
            self._backend.no_padding()
            added = self._backend.get_added_tokens_decoder()
            special = {i for i, token in added.items() if token.special}
            markup = {i for i in special if SHOWN.fullmatch(added[i].content)}
            # Special tokens without text; None if all are, which the library knows by itself.
            self._silent_ids = frozenset(special - markup) if markup else None
        # Where a text is the concatenated bytes of its tokens.
        self.byte_decoder: ByteDecoder | None = None
        if is_fast and isinstance(inner.backend_tokenizer.decoder, ByteLevel):
            self.byte_decoder = ByteDecoder(inner.backend_tokenizer.id_to_token, special - markup)
        self.encodes_bare = False  # without special tokens, even where they are asked for
        self.begins_chats = False  # with the token that begins a sequence
        self.image_type = IMAGE_TYPE  # of images among the parts of messages, in the template
        self._texts: dict[int, str] = {}
        self._reserved: frozenset[int] = frozenset()

    @classmethod
    def from_folder(cls, folder: Path, chat_template: str | None = None) -> "Tokenizer":
        """Load `tokenizer.json` and its chat template; raises `InvalidCheckpoint`.

        A checked `chat_template` takes the place of the folder's, which is then not looked at.
        Uses `IdTokenizer`, which has none, if the folder has no tokenizer file.
        """
        if not has_tokenizer(folder):
            logger.warning(
                "%s has no tokenizer: prompts and answers are token ids; --tokenizer names one",
                folder,
            )
            return cls(IdTokenizer())
        # tokenizer.json is enough; AutoTokenizer would parse config.json too, and is slow to
        # import.
        kind: type[Any] = PreTrainedTokenizerFast
        if not (folder / TOKENIZER).is_file():
            if is_byte_bpe(folder):
                return cls(read_byte_bpe(folder))._with_template(folder, chat_template)
            from transformers import AutoTokenizer

            kind = AutoTokenizer
        try:
            tokenizer = cls(
                kind.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)
            )
        except Exception as error:  # of several libraries, without a common base
            raise InvalidCheckpoint(
                f"no usable tokenizer in {folder}: {_reason(folder / TOKENIZER, error)}"
            ) from error
        check_added_tokens(tokenizer._inner, folder)
        return tokenizer._with_template(folder, chat_template)

    def _with_template(self, folder: Path, named: str | None) -> Self:
        """The tokenizer with a template, checked if it is the folder's."""
        if named is not None:
            self._inner.chat_template = named
            return self
        if not self.has_chat_template:
            self._inner.chat_template = read_template(folder)
        check_templates(self._inner.chat_template, folder)
        return self

    @property
    def eos_token_id(self) -> int | None:
        """End-of-sequence token in the tokenizer's files, if any."""
        value: int | None = self._inner.eos_token_id
        return value

    @property
    def mask_token_id(self) -> int | None:
        """Mask token in the tokenizer's files, if any."""
        value: int | None = getattr(self._inner, "mask_token_id", None)
        return value

    def text_of(self, name: str) -> str | None:
        """Text of a special token, or the chat template, by its name in `tokenizer_config.json`."""
        value = getattr(self._inner, name, None)
        return value if isinstance(value, str) else None

    @functools.cached_property
    def _added(self) -> Mapping[str, int]:
        """Ids of added tokens by text, which the library lists anew each time."""
        added: dict[str, int] = self._inner.get_added_vocab()
        return added

    def added_token_id(self, text: str) -> int | None:
        """Id of an added token, such as a special one; None if there is none."""
        return self._added.get(text)

    def added_tokens_with(self, part: str) -> list[str]:
        """Texts and ids of up to eight added tokens whose text has a part, in any case."""
        found = [f"{text} ({i})" for text, i in self._added.items() if part in text.lower()]
        return found[:8]

    def to_json(self) -> str | None:
        """Content of `tokenizer.json`; None for a tokenizer that has none."""
        backend = getattr(self._inner, "backend_tokenizer", None)
        text: str | None = None if backend is None else backend.to_str()
        return text

    @property
    def num_tokens(self) -> int | None:
        """Largest id with a text, plus one; None if all ids have a text."""
        if isinstance(self._inner, IdTokenizer):
            return None
        ids: dict[str, int] = self._inner.get_vocab()
        return max(ids.values(), default=-1) + 1

    @property
    def has_chat_template(self) -> bool:
        return self._inner.chat_template is not None

    @property
    def chat_template(self) -> str | None:
        """The chat template; of several by name, the one for conversations with tools."""
        named: str | dict[str, str] | None = self._inner.chat_template
        return named.get("tool_use", named.get("default")) if isinstance(named, dict) else named

    def encode(self, text: str, *, add_special_tokens: bool = False) -> list[int]:
        """Token ids of `text`; special tokens spelled in it are recognised."""
        add_special_tokens = add_special_tokens and not self.encodes_bare
        if self._backend is not None:
            return fast_ids(self._backend, text, add_special_tokens=add_special_tokens)
        ids: list[int] = self._inner.encode(text, add_special_tokens=add_special_tokens)
        return ids

    @functools.cached_property
    def chars_per_token(self) -> int | None:
        """Largest number of characters a token; None if there is no bound."""
        return None if self._backend is None else chars_per_token(self._backend.to_str())

    def check_length(self, text: str, max_tokens: int, field: str) -> None:
        """Raise `InvalidRequest` for a text too long for `max_tokens`, without encoding it."""
        per_token = self.chars_per_token
        if per_token is not None and len(text) > per_token * max_tokens:
            raise context_exceeded(
                max_tokens,
                f"{len(text)} characters are at least {-(-len(text) // per_token)} tokens",
                field,
            )

    def stream(self) -> ByteStream | StreamDecoder:
        """A decoder of one text whose tokens come in pieces."""
        if self.byte_decoder is not None:  # text that is the bytes of its tokens needs no context
            return ByteStream(self.byte_decoder)
        return StreamDecoder(self.decode)

    def decode(self, token_ids: Sequence[int], *, skip_special_tokens: bool = True) -> str:
        """Text of `token_ids`; bytes of incomplete characters become U+FFFD.

        Tags of thoughts and tool calls are text even where they are special tokens.
        """
        text: str
        if self.byte_decoder is not None and skip_special_tokens:
            return self.byte_decoder.decode(token_ids)
        if self._silent_ids is not None and skip_special_tokens:
            token_ids = [i for i in token_ids if i not in self._silent_ids]
            skip_special_tokens = False
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
        """Text of a single token, special tokens included."""
        text = self._texts.get(token_id)
        if text is None:
            text = self._texts[token_id] = self.decode([token_id], skip_special_tokens=False)
        return text

    def token_bytes(self, token_id: int) -> bytes:
        """UTF-8 of a single token, special tokens included; maybe a part of a character."""
        text = self.token_text(token_id)
        if REPLACEMENT not in text:
            return text.encode()
        (piece,) = self.pieces((token_id,))
        if REPLACEMENT in piece:  # the character itself
            return text.encode()
        byte = BYTE_TOKEN.fullmatch(piece)
        return byte_level(piece) if byte is None else bytes((int(byte[1], 16),))

    def pieces(self, token_ids: Sequence[int]) -> list[str]:
        """The vocabulary's own spelling of each token, such as `Ġhi`."""
        found: list[str] = self._inner.convert_ids_to_tokens(list(token_ids))
        return found

    def reserve(self, token_ids: Iterable[int]) -> None:
        """Protect these tokens of the model, like special ones, against spellings in messages.

        Takes a second for a large vocabulary with a chat template.
        """
        self._reserved = frozenset(token_ids)
        self.__dict__.pop("_controls", None)
        if self.has_chat_template:
            _ = self._controls

    @functools.cached_property
    def _renderer(self) -> ChatRenderer | None:
        """Renders plain chats faster; subclasses of the library's tokenizer may do it their way."""
        is_plain = type(self._inner) is PreTrainedTokenizerFast
        return ChatRenderer.of(self._inner) if is_plain else None

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
        """Token ids of a conversation; control tokens spelled in messages are encoded as text.

        Raises `InvalidRequest` if the template refuses the messages, or if the text is too long for
        `max_tokens`, before encoding it.
        """
        if not self.has_chat_template:
            raise InvalidRequest("this model has no chat template; use /v1/completions")
        if continue_final_message:
            _check_end(messages)
        if self.image_type != IMAGE_TYPE:
            messages = [_with_image_type(message, self.image_type) for message in messages]
        controls, options = self._controls, template_options or {}
        # Most likely too long: check before guarding, which is slow.
        if max_tokens is not None and self._is_likely_longer(messages, max_tokens):
            plain = [dict(message) for message in messages]
            text = self._render(plain, options, add_generation_prompt, continue_final_message)
            self.check_length(text, max_tokens, "messages")
        guarded = [controls.guard_message(message) for message in messages]
        options = {name: controls.guard(value) for name, value in options.items()}
        text = self._render(guarded, options, add_generation_prompt, continue_final_message)
        if max_tokens is not None:
            self.check_length(controls.plain(text), max_tokens, "messages")
        ids = controls.encode(text)
        begin = self._inner.bos_token_id if self.begins_chats else None
        return ids if begin is None or ids[:1] == [begin] else [begin, *ids]

    def _is_likely_longer(self, messages: Sequence[Mapping[str, Any]], max_tokens: int) -> bool:
        """True if the texts of messages alone are more than `max_tokens` may have."""
        per_token = self.chars_per_token
        values = [value for message in messages for value in message.values()]
        parts = [part for value in values if isinstance(value, list) for part in value]
        values += [part.get("text") for part in parts if isinstance(part, Mapping)]
        length = sum(len(value) for value in values if isinstance(value, str))
        return per_token is not None and length > per_token * max_tokens

    def _render(
        self,
        turns: list[Any],
        options: Mapping[str, Any],
        add_generation_prompt: bool,
        continue_final_message: bool,
    ) -> str:
        """Text of a conversation; raises `InvalidRequest` if the template refuses it."""
        begins_answer = add_generation_prompt and not continue_final_message
        renderer = None if options or continue_final_message else self._renderer
        try:
            if renderer is not None and renderer.takes(turns, self._inner.chat_template):
                return renderer.render(turns, begins_answer=begins_answer)
            text: str = self._inner.apply_chat_template(
                turns,
                tokenize=False,
                add_generation_prompt=begins_answer,
                continue_final_message=continue_final_message,
                **options,
            )
        except Exception as error:  # templates can raise any exception
            raise InvalidRequest(
                f"the chat template refused the messages: {self._controls.plain(str(error))}",
                field="messages",
            ) from error
        return text


def _with_image_type(message: Mapping[str, Any], image_type: str) -> Mapping[str, Any]:
    """The message with another type for its images."""
    content = message.get("content")
    if not isinstance(content, list):
        return message
    parts = [part if "text" in part else {**part, "type": image_type} for part in content]
    return {**message, "content": parts}


def _check_end(messages: Sequence[Mapping[str, Any]]) -> None:
    """Raise `InvalidRequest` if the last message ends with an image, which nothing can continue."""
    content = messages[-1].get("content") if messages else None
    if isinstance(content, list) and content and "text" not in content[-1]:
        raise InvalidRequest(
            "continue_final_message needs a last message that ends with text, not with an image",
            field="messages",
        )
