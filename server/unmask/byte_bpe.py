"""Byte-level BPE from `vocab.json`, `merges.txt` and `tokenizer_config.json`, without remote code.

Dream and its relatives ship these files with a custom tokenizer class that is a copy of Qwen2's.
"""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Regex, decoders, models, normalizers, pre_tokenizers, processors
from tokenizers import Tokenizer as FastTokenizer
from transformers import PreTrainedTokenizerFast

from unmask.errors import InvalidCheckpoint
from unmask.json_file import read_json

logger = logging.getLogger(__name__)

FILES = ("vocab.json", "merges.txt", "tokenizer_config.json")
# Qwen2's pre-tokenizer: words, single digits, punctuation and line ends.
QWEN2_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN2, GPT2 = "qwen2", "gpt2"
# Pre-tokenizer of each known class; an unknown class may split text in another way.
CLASSES: Mapping[str, str] = {
    "DreamTokenizer": QWEN2,
    "DreamTokenizerFast": QWEN2,
    "Qwen2Tokenizer": QWEN2,
    "Qwen2TokenizerFast": QWEN2,
    "GPT2Tokenizer": GPT2,
    "GPT2TokenizerFast": GPT2,
}
NAMED = ("bos_token", "eos_token", "unk_token", "pad_token", "mask_token")
FLAGS = ("special", "lstrip", "rstrip", "single_word", "normalized")


def is_byte_bpe(folder: Path) -> bool:
    """True if a folder has `FILES` of a class in `CLASSES`."""
    if not all((folder / name).is_file() for name in FILES):
        return False
    return read_json(folder / "tokenizer_config.json").get("tokenizer_class") in CLASSES


def read_byte_bpe(folder: Path) -> PreTrainedTokenizerFast:
    """Tokenizer of a folder; raises `InvalidCheckpoint` that names the file."""
    config = read_json(folder / "tokenizer_config.json")
    vocab, merges = read_json(folder / "vocab.json"), _read_merges(folder / "merges.txt")
    try:
        fast = FastTokenizer(models.BPE(vocab=vocab, merges=merges))
    except Exception as error:  # the library's exceptions have no common base
        raise InvalidCheckpoint(
            f"vocab.json and merges.txt in {folder} do not match: {error}"
        ) from error
    if CLASSES[config["tokenizer_class"]] == QWEN2:
        fast.normalizer = normalizers.NFC()
        split = pre_tokenizers.Split(Regex(QWEN2_PATTERN), behavior="isolated")
        to_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
        fast.pre_tokenizer = pre_tokenizers.Sequence([split, to_bytes])
    else:
        with_space = bool(config.get("add_prefix_space", False))
        fast.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=with_space)
    fast.decoder = decoders.ByteLevel()
    fast.post_processor = processors.ByteLevel(trim_offsets=False)
    _add_tokens(fast, _added_tokens(folder, config), folder)
    named = _named_tokens(folder, config)
    make: type[Any] = PreTrainedTokenizerFast  # untyped
    tokenizer: PreTrainedTokenizerFast = make(tokenizer_object=fast, **named)
    tokenizer.chat_template = _chat_template(folder, config)
    return tokenizer


def _read_merges(path: Path) -> list[tuple[str, str]]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise InvalidCheckpoint(f"{path} cannot be read: {error}") from error
    merges = []
    for number, line in enumerate(lines, 1):
        if not line.strip() or (number == 1 and line.startswith("#version")):
            continue
        left, _, right = line.partition(" ")
        if not left or not right or " " in right:
            raise InvalidCheckpoint(f"line {number} of {path} is not a merge: {line!r:.60}")
        merges.append((left, right))
    return merges


def _added_tokens(folder: Path, config: Mapping[str, Any]) -> dict[int, AddedToken]:
    """Added tokens by id, from `tokenizer_config.json` or the older `added_tokens.json`."""
    listed = config.get("added_tokens_decoder")
    if listed is None:
        older = folder / "added_tokens.json"
        ids = read_json(older, optional=True)
        if wrong := [i for i in ids.values() if type(i) is not int]:
            raise InvalidCheckpoint(f"{older}: ids must be whole numbers, got {wrong[0]!r:.40}")
        return {i: AddedToken(text, special=True, normalized=False) for text, i in ids.items()}
    try:
        return {
            int(i): AddedToken(token["content"], **{f: bool(token[f]) for f in FLAGS if f in token})
            for i, token in listed.items()
        }
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InvalidCheckpoint(
            f"added_tokens_decoder in {folder}/tokenizer_config.json is malformed: {error}"
        ) from error


def _add_tokens(fast: FastTokenizer, added: Mapping[int, AddedToken], folder: Path) -> None:
    """Add tokens; raises `InvalidCheckpoint` if one gets another id than its file states."""
    for i, token in sorted(added.items()):
        fast.add_special_tokens([token]) if token.special else fast.add_tokens([token])
        if (actual := fast.token_to_id(token.content)) != i:
            raise InvalidCheckpoint(
                f"{token.content!r} has id {i} in {folder}/tokenizer_config.json, but id {actual} "
                "after the vocabulary"
            )


def check_added_tokens(inner: Any, folder: Path) -> None:
    """Raise `InvalidCheckpoint` if a tokenizer has an added token at another id than its file says.

    Transformers adds tokens that `tokenizer.json` lacks behind its last one, whatever their ids
    are. Of one that it has, its own id counts there, so another is only logged.
    """
    file = folder / "tokenizer_config.json"
    stated = _added_tokens(folder, read_json(file, optional=True))
    ids = {i: inner.convert_tokens_to_ids(token.content) for i, token in stated.items()}
    others = {i: actual for i, actual in ids.items() if actual != i}
    whole = folder / "tokenizer.json"
    own = FastTokenizer.from_file(str(whole)) if others and whole.is_file() else None
    for i, actual in others.items():
        text = stated[i].content
        if own is None or own.token_to_id(text) is None:
            raise InvalidCheckpoint(
                f"{text!r} has id {i} in the configuration of the tokenizer in {folder}, but id "
                f"{actual} in the tokenizer; save both with transformers' save_pretrained"
            )
        logger.warning(
            "%r has id %d in the configuration of the tokenizer in %s; the id of tokenizer.json, "
            "%s, counts",
            *(text, i, folder, actual),
        )


def _named_tokens(folder: Path, config: Mapping[str, Any]) -> dict[str, str]:
    """Texts of the tokens in `NAMED`, such as EOS and mask."""
    map_file = folder / "special_tokens_map.json"
    listed = read_json(map_file, optional=True) | {
        name: config[name] for name in NAMED if config.get(name) is not None
    }
    texts = {}
    for name in NAMED:
        token = listed.get(name)
        text = token.get("content") if isinstance(token, dict) else token
        if isinstance(text, str):
            texts[name] = text
    return texts


def _chat_template(folder: Path, config: Mapping[str, Any]) -> str | None:
    """Template in `chat_template.jinja`, else in the configuration (`default` of several)."""
    if (file := folder / "chat_template.jinja").is_file():
        return file.read_text(encoding="utf-8")
    template = config.get("chat_template")
    if isinstance(template, list):
        template = next((t.get("template") for t in template if t.get("name") == "default"), None)
    return template if isinstance(template, str) else None
