"""Tokenizer of any size without a checkpoint, so that decoding has its real cost."""

import random

from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast


def random_tokenizer(vocab_size: int) -> PreTrainedTokenizerFast:
    """Byte-level tokenizer with a text for every token; it encodes byte by byte."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    draw = random.Random(0)
    texts = dict.fromkeys(letters)
    while len(texts) < vocab_size:
        texts["".join(draw.choices(letters, k=draw.randint(2, 8)))] = None
    vocab = {text: i for i, text in enumerate(list(texts)[:vocab_size])}
    fast = Tokenizer(models.BPE(vocab=vocab, merges=[]))
    fast.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    fast.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=fast)
