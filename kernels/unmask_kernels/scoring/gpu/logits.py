"""Loads of constrained logits: biased, and LOWEST for forbidden tokens."""

from typing import Any

import triton
import triton.language as tl

from unmask_kernels.scoring.constraints import Constraints

LOWEST = tl.constexpr(-1e30)


@triton.jit
def load_logits(
    p_logits, i_row, i_piece, first, last, mask_token, num_pieces,
    bias_set, bias_starts, bias_tokens, bias_values, bias_factors, mask_row, mask_words, num_words,
    class_row, class_of, class_words, num_classed, num_class_words,
    PIECE: tl.constexpr, BIASED: tl.constexpr, MASKED: tl.constexpr, CLASSED: tl.constexpr,
):  # fmt: skip
    """Logits [PIECE], float32, of the entries from `first`, all of one piece of the vocabulary.

    LOWEST from `last` on, for forbidden tokens, and where the model gives -inf or NaN.
    """
    o_entry = first + tl.arange(0, PIECE)
    p_entry = p_logits + tl.arange(0, PIECE)
    if first + PIECE <= last:
        b_x = tl.load(p_entry).to(tl.float32)
    else:
        b_x = tl.load(p_entry, mask=o_entry < last, other=float("-inf")).to(tl.float32)
    if BIASED:
        set_index = tl.load(bias_set + i_row).to(tl.int64)
        if set_index >= 0:
            p_start = bias_starts + set_index * (num_pieces + 1) + i_piece
            for i in range(tl.load(p_start), tl.load(p_start + 1)):
                bias, factor = tl.load(bias_values + i), tl.load(bias_factors + i)
                b_scaled = tl.where(b_x > 0.0, b_x / factor, b_x * factor)
                b_x = tl.where(o_entry == tl.load(bias_tokens + i), b_scaled + bias, b_x)
    if MASKED:
        set_index = tl.load(mask_row + i_row).to(tl.int64)
        if set_index >= 0:
            p_words = mask_words + set_index * num_words + o_entry // 32
            b_word = tl.load(p_words, mask=o_entry < last, other=0)
            b_x = tl.where(((b_word >> (o_entry % 32)) & 1) != 0, b_x, LOWEST)
    if CLASSED:
        grammar = tl.load(class_row + i_row).to(tl.int64)
        if grammar >= 0:
            p_class = class_of + grammar * num_classed + o_entry
            b_class = tl.load(p_class, mask=o_entry < last, other=0).to(tl.int32)
            b_word = tl.load(class_words + i_row * num_class_words + b_class // 32)
            b_x = tl.where(((b_word >> (b_class % 32)) & 1) != 0, b_x, LOWEST)
    if (mask_token >= first) & (mask_token < first + PIECE):
        b_x = tl.where(o_entry == mask_token, LOWEST, b_x)
    return tl.maximum(b_x, LOWEST)  # NaN too


def constraint_arguments(constraints: Constraints | None) -> dict[str, Any]:
    """The arguments of a kernel that reads constrained logits."""
    biases = None if constraints is None else constraints.biases
    masks = None if constraints is None else constraints.masks
    classes = None if constraints is None else constraints.classes
    return {
        "bias_set": biases and biases.set_of_row,
        "bias_starts": biases and biases.starts,
        "bias_tokens": biases and biases.tokens,
        "bias_values": biases and biases.values,
        "bias_factors": biases and biases.factors,
        "mask_row": masks and masks.mask_of_row,
        "mask_words": masks and masks.words,
        "num_words": 0 if masks is None else masks.words.shape[1],
        "class_row": classes and classes.grammar_of_row,
        "class_of": classes and classes.class_of,
        "class_words": classes and classes.words,
        "num_classed": 0 if classes is None else classes.class_of.shape[1],
        "num_class_words": 0 if classes is None else classes.words.shape[1],
        "BIASED": biases is not None,
        "MASKED": masks is not None,
        "CLASSED": classes is not None,
    }


# For the compile checks.
CONSTRAINT_TYPES = {
    "bias_set": "*i32",
    "bias_starts": "*i32",
    "bias_tokens": "*i32",
    "bias_values": "*fp32",
    "bias_factors": "*fp32",
    "mask_row": "*i32",
    "mask_words": "*i32",
    "num_words": "i32",
    "class_row": "*i32",
    "class_of": "*i16",
    "class_words": "*i32",
    "num_classed": "i32",
    "num_class_words": "i32",
}
SIZES = ("num_words", "num_classed", "num_class_words")
NO_CONSTRAINTS = {
    name: value for name, value in constraint_arguments(None).items() if name not in SIZES
}
CONSTRAINTS = {"BIASED": True, "MASKED": True, "CLASSED": True}
