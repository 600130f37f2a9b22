"""Tokenizer files as Dream's authors publish them, with a small or a full vocabulary."""

import json
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

NUM_MERGED = 500  # bytes and merges
ADDED = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|beginoftext|>", "<|mask|>")
MASK_ID, NUM_TOKENS = NUM_MERGED + 4, NUM_MERGED + len(ADDED)
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
TEXT = (
    "It's 12 o'clock. We'll sort the numbers 31, 4 and 159, and they're right, I'd say!\n\n"
    "Élan vital, naïve café, straße; 日本語の文章です。\tdef f(x):\r\n    return x  # done"
)


def write_tokenizer(
    folder: Path,
    commands: tuple[str, ...] = (),
    *,
    num_merged: int = NUM_MERGED,
    added: tuple[str, ...] = ADDED,
    **config: Any,
) -> None:
    """Write vocab.json, merges.txt and tokenizer_config.json with a class of remote code."""
    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=NUM_MERGED, initial_alphabet=alphabet)
    trained.train_from_iterator([TEXT * 3, str(range), *map(str, range(10, 400, 7))], trainer)
    model = json.loads(trained.to_str())["model"]
    vocab = dict(model["vocab"])
    for i in range(len(vocab), num_merged):
        vocab[f"unused{i}"] = i
    (folder / "vocab.json").write_text(json.dumps(vocab))
    merges = [" ".join(merge) for merge in model["merges"]]
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges, ""]))
    decoder = {
        str(num_merged + i): {"content": text, "special": True, "normalized": False}
        for i, text in enumerate((*added, *commands))
    }
    fields = {
        "tokenizer_class": "DreamTokenizer",
        "auto_map": {"AutoTokenizer": ["tokenization_dream.DreamTokenizer", None]},
        "added_tokens_decoder": decoder,
        "eos_token": "<|endoftext|>",
        "pad_token": "<|endoftext|>",
        "bos_token": "<|beginoftext|>",
        "mask_token": "<|mask|>",
        "chat_template": TEMPLATE,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(fields | config))


def join_files(folder: Path) -> None:
    """Replace vocab.json and merges.txt by tokenizer.json."""
    vocab, merges = folder / "vocab.json", folder / "merges.txt"
    tokenizer = Tokenizer(models.BPE.from_file(str(vocab), str(merges)))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    config = json.loads((folder / "tokenizer_config.json").read_text())
    texts = [token["content"] for token in config["added_tokens_decoder"].values()]
    tokenizer.add_special_tokens([AddedToken(text, normalized=False) for text in texts])
    tokenizer.save(str(folder / "tokenizer.json"))
    vocab.unlink()
    merges.unlink()
