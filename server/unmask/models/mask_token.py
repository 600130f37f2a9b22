"""Mask token of a checkpoint: said by its files, else the family's."""

import logging

from unmask.errors import InvalidCheckpoint
from unmask.models.family import RawConfig
from unmask.tokenizer import Tokenizer

logger = logging.getLogger(__name__)


def read_mask(
    chosen: int | None,
    raw: RawConfig,
    generation: RawConfig,
    tokenizer: Tokenizer,
    of_family: int | None,
) -> int | None:
    """Mask token of the configuration, of both files, of the tokenizer, or the family's.

    Raises `InvalidCheckpoint` if the files disagree.
    """
    if chosen is not None:
        return chosen
    said, generated = raw.get("mask_token_id"), generation.get("mask_token_id")
    if said is not None and generated is not None and said != generated:
        raise InvalidCheckpoint(
            f"mask_token_id is {said!r:.40} in config.json and {generated!r:.40} in "
            "generation_config.json; choose with --mask-token-id"
        )
    said = generated if said is None else said
    if said is not None:
        return _checked(said)
    of_tokenizer = tokenizer.mask_token_id
    if of_tokenizer is None or of_family is None or of_tokenizer == of_family:
        return of_family if of_tokenizer is None else of_tokenizer
    logger.warning(
        "mask token: %d, which the tokenizer names; this family's is %d, which --mask-token-id "
        "would choose",
        of_tokenizer,
        of_family,
    )
    return of_tokenizer


def check_mask(
    mask: int | None, vocab_size: int, commands: tuple[int, ...], tokenizer: Tokenizer
) -> int:
    """The mask token; raises `InvalidCheckpoint` for none, and for one that no mask can be."""
    if mask is None:
        like_one = tokenizer.added_tokens_with("mask")
        found = f"; the tokenizer has {', '.join(like_one)}" if like_one else ""
        raise InvalidCheckpoint(
            f"no file of the checkpoint names a mask token; set its id with --mask-token-id{found}"
        )
    if not 0 <= mask < vocab_size:
        raise InvalidCheckpoint(
            f"mask token {mask} is not in a vocabulary of {vocab_size}; "
            "set its id with --mask-token-id"
        )
    if mask in commands:
        raise InvalidCheckpoint(f"mask token {mask} is a command that deletes or inserts tokens")
    return mask


def _checked(mask: object) -> int:
    if isinstance(mask, bool) or not isinstance(mask, int):
        raise InvalidCheckpoint(f"mask_token_id {mask!r:.40} is not a token id")
    return mask
