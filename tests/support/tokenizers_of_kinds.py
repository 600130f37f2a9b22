"""Small tokenizers of the kinds that checkpoints have."""

from tokenizers import AddedToken, decoders, models, normalizers, pre_tokenizers
from tokenizers import Tokenizer as FastTokenizer
from transformers import PreTrainedTokenizerFast

from tests.support.tiny import CHAT_TEMPLATE

SPECIALS = ("<unk>", "<bos>", "<eos>", "<mask>", "<start_of_turn>", "<end_of_turn>")
WORDS = ("▁", "▁the", "▁a", "he", "l", "lo", "o", "w", "or", "ld", "▁w", "c", "b", "d", "\n", "e")


def byte_fallback(
    *,
    prepends: bool = False,
    template: str = CHAT_TEMPLATE,
    first: tuple[str, ...] = SPECIALS,
    more: tuple[str, ...] = (),
) -> PreTrainedTokenizerFast:
    """SentencePiece BPE like Gemma's and Llama's: words with ▁, and bytes for the rest.

    The vocabulary begins with `first`, including all special tokens, and ends with the words
    `more`.
    """
    bytes_ = [f"<0x{byte:02X}>" for byte in range(256)]
    vocab = {text: i for i, text in enumerate((*first, *bytes_, *WORDS, *more))}
    merges = [("▁w", "or"), ("▁", "w"), ("l", "o")]
    merges = [(a, b) for a, b in merges if a + b in vocab]
    fast = FastTokenizer(
        models.BPE(vocab=vocab, merges=merges, unk_token="<unk>", byte_fallback=True, fuse_unk=True)
    )
    replace = normalizers.Replace(" ", "▁")
    steps: list[object] = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    if prepends:
        replace = normalizers.Sequence([normalizers.Prepend("▁"), replace])
        steps.append(decoders.Strip(" ", 1, 0))
    fast.normalizer = replace
    fast.decoder = decoders.Sequence(steps)
    return _finished(fast, template)


def unigram(template: str = CHAT_TEMPLATE) -> PreTrainedTokenizerFast:
    """Unigram with Metaspace, like T5's and XLM's."""
    bytes_ = [f"<0x{byte:02X}>" for byte in range(256)]
    pieces = [(text, 0.0) for text in SPECIALS]
    pieces += [(text, -20.0) for text in bytes_] + [(text, -float(len(text))) for text in WORDS]
    fast = FastTokenizer(models.Unigram(pieces, unk_id=0, byte_fallback=True))
    fast.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    fast.decoder = decoders.Sequence(
        [decoders.ByteFallback(), decoders.Metaspace(prepend_scheme="first")]
    )
    return _finished(fast, template)


def byte_level(
    template: str = CHAT_TEMPLATE, *, normalized: bool = False, composes: bool = True
) -> PreTrainedTokenizerFast:
    """Byte-level BPE, like Qwen's and LLaDA's; special tokens follow the vocabulary."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = [("a", "b"), ("Ġ", "a"), ("<", "|"), ("|", ">")]
    vocab = {text: i for i, text in enumerate([*alphabet, *(a + b for a, b in merges)])}
    fast = FastTokenizer(models.BPE(vocab=vocab, merges=merges))
    fast.normalizer = normalizers.NFKC() if normalized else normalizers.NFC() if composes else None
    fast.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    fast.decoder = decoders.ByteLevel()
    return _finished(fast, template, normalized=normalized)


def _finished(
    fast: FastTokenizer, template: str, *, normalized: bool = False
) -> PreTrainedTokenizerFast:
    fast.add_special_tokens(
        [AddedToken(text, special=True, normalized=normalized) for text in SPECIALS]
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=fast, bos_token="<bos>", eos_token="<eos>", mask_token="<mask>",
        unk_token="<unk>",
    )  # fmt: skip
    tokenizer.chat_template = template
    return tokenizer


KINDS = {
    "byte_level": byte_level,
    "normalized": lambda **more: byte_level(normalized=True, **more),
    "byte_fallback": byte_fallback,
    "prepending": lambda **more: byte_fallback(prepends=True, **more),
    "unigram": unigram,
}
