"""Tokenizer of the embedded model: byte-level BPE with single digits."""

import argparse
from collections.abc import Iterator
from pathlib import Path
from random import Random

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from training.tasks.catalog import draw_problem
from training.tool_prompt import CHAT_TEMPLATE, turns_with_tools

END, MASK, PAD = "<|end|>", "<|mask|>", "<|pad|>"
SPECIAL = (END, MASK, PAD, "<|user|>", "<|assistant|>", "<|system|>", "<|tool|>")
END_ID, MASK_ID, PAD_ID = 0, 1, 2
VOCAB_SIZE = 4096
NUM_TEXTS = 100_000
FOLDER = Path(__file__).parent / "tokenizer"
# Digits alone, a word with the space before it, a line break with its indent, single punctuation.
PIECES = r"\d| ?\p{L}+|\n *| ?[^\s\p{L}\d]|\s+"


def texts() -> Iterator[str]:
    """Training problems as plain text."""
    rng = Random(7)
    for _ in range(NUM_TEXTS):
        problem = draw_problem(rng, "train")
        turns = turns_with_tools(problem.turns, problem.tools)
        yield "\n".join([*(turn.content for turn in turns), problem.answer])


def train() -> PreTrainedTokenizerFast:
    """Learn the merges from training problems."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PIECES), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB_SIZE,
        special_tokens=[AddedToken(text, special=True, normalized=False) for text in SPECIAL],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts(), trainer)
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token=END, mask_token=MASK, pad_token=PAD
    )
    wrapped.chat_template = CHAT_TEMPLATE
    assert wrapped.convert_tokens_to_ids([END, MASK, PAD]) == [END_ID, MASK_ID, PAD_ID]
    return wrapped


def load() -> PreTrainedTokenizerFast:
    tokenizer: PreTrainedTokenizerFast = PreTrainedTokenizerFast.from_pretrained(FOLDER)
    return tokenizer


def main() -> None:
    """Train the tokenizer and save it next to this file."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    tokenizer = train()
    tokenizer.save_pretrained(FOLDER)
    print(f"{len(tokenizer)} entries in {FOLDER}")


if __name__ == "__main__":
    main()
