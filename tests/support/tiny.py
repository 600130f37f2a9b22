"""Tiny checkpoint: the golden SDAR weights and a byte tokenizer."""

import json
import shutil
from pathlib import Path

from tokenizers import AddedToken, decoders, models, pre_tokenizers
from tokenizers import Tokenizer as FastTokenizer
from transformers import PreTrainedTokenizerFast

GOLDEN = Path(__file__).parent.parent / "golden"
VOCAB_SIZE = 512
MASK_ID = 511
EOS_ID = 510
CHAT_TEMPLATE = (
    "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant: {% endif %}"
)


def byte_tokenizer(
    num_tokens: int = VOCAB_SIZE, tags: tuple[str, ...] = ()
) -> PreTrainedTokenizerFast:
    """Bytes 0 to 255, pairs that only decoding uses, tags, end and mask, then tokens as padding."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    pairs = [a + b for a in alphabet[33:60] for b in alphabet[60:80]]
    vocab = {token: i for i, token in enumerate((alphabet + pairs)[: EOS_ID - len(tags)])}
    fast = FastTokenizer(models.BPE(vocab=vocab, merges=[]))
    fast.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    fast.decoder = decoders.ByteLevel()
    fast.add_tokens([AddedToken(tag, normalized=False) for tag in tags])
    fast.add_special_tokens(
        [AddedToken("<|end|>", special=True), AddedToken("<|mask|>", special=True)]
    )
    fast.add_tokens([f"<|{i}|>" for i in range(VOCAB_SIZE, num_tokens)])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=fast, eos_token="<|end|>", mask_token="<|mask|>"
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    assert tokenizer.convert_tokens_to_ids("<|mask|>") == MASK_ID
    return tokenizer


def save_tokenizer(folder: Path) -> None:
    """Byte tokenizer with as many tokens as the `config.json` beside it has."""
    raw = json.loads((folder / "config.json").read_text())
    byte_tokenizer((raw.get("text_config") or raw)["vocab_size"]).save_pretrained(folder)


def write_checkpoint(folder: Path) -> Path:
    """The golden SDAR checkpoint with a tokenizer beside it."""
    for name in ("config.json", "model.safetensors"):
        shutil.copy(GOLDEN / "sdar" / name, folder / name)
    byte_tokenizer().save_pretrained(folder)
    return folder
