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
# Digits alone, words, a line break with its indent, single punctuation. Spaces are part of the word
# behind them, or of the punctuation around them: then a word is the same tokens wherever it stands,
# and to copy one is no lesson about its spelling, but a text has a seventh more tokens.
PIECES = {
    "spaced": r"\d| ?\p{L}+|\n *| ?[^\s\p{L}\d]|\s+",
    "apart": r"\d|\p{L}+|\n *| ?[^\s\p{L}\d] ?|\s+",
}


def texts(count: int) -> Iterator[str]:
    """Training problems as plain text."""
    rng = Random(7)
    for _ in range(count):
        problem = draw_problem(rng, "train")
        turns = turns_with_tools(problem.turns, problem.tools)
        yield "\n".join([*(turn.content for turn in turns), problem.answer])


def train(words: str = "spaced", num_texts: int = NUM_TEXTS) -> PreTrainedTokenizerFast:
    """Learn the merges from training problems, with words as one of PIECES says."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PIECES[words]), "isolated"),
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
    tokenizer.train_from_iterator(texts(num_texts), trainer)
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
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--words", choices=PIECES, default="spaced", help="where spaces go")
    tokenizer = train(parser.parse_args().words)
    tokenizer.save_pretrained(FOLDER)
    print(f"{len(tokenizer)} entries in {FOLDER}")


if __name__ == "__main__":
    main()
