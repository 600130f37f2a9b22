"""`ModelInfo` of a checkpoint: context, vocabulary, special tokens and decoding defaults."""

import logging
import time
from collections.abc import Mapping
from dataclasses import replace

from unmask.config import AttentionName, DecodingConfig, ModelConfig
from unmask.decoding.checks import check_edits, check_whole_blocks
from unmask.errors import InvalidCheckpoint, InvalidConfig, InvalidRequest
from unmask.images import ImageTraits
from unmask.models.cdlm import is_cdlm
from unmask.models.checkpoint import Checkpoint
from unmask.models.config_values import without_nulls
from unmask.models.d2f import is_d2f
from unmask.models.family import Family, Traits
from unmask.models.generation_config import (
    read_banned_ids,
    read_eos_ids,
    read_own_sampling,
    read_plain_sampling,
    read_sampling,
)
from unmask.models.hub import display_name
from unmask.models.length_commands import read_length_commands
from unmask.models.mask_token import check_mask, read_mask
from unmask.models.mixing import warn_of_mixing
from unmask.models.multi_block import warn_of_training
from unmask.models.rope import stretched_positions
from unmask.tokenizer import Tokenizer
from unmask.types import AUTO, CACHES, AttentionPattern, ModelInfo, SamplingParams

logger = logging.getLogger(__name__)

DEFAULT_MAX_POSITIONS = 2048
ATTENTIONS: Mapping[AttentionName, AttentionPattern] = {"full": "full", "block": "block_causal"}
MAX_PADDING = 2048  # ids without text at the end of a padded vocabulary; LFM2 has 1,136


def model_info(
    checkpoint: Checkpoint,
    family: Family,
    config: ModelConfig,
    decoding: DecodingConfig,
    tokenizer: Tokenizer,
) -> ModelInfo:
    """Model info from the server's configuration, else the checkpoint's files, else the family.

    Raises `InvalidCheckpoint` and `InvalidConfig`.
    """
    traits, generation = _traits(family, checkpoint, config), checkpoint.generation
    raw = without_nulls(checkpoint.config.get("text_config") or checkpoint.config)
    canvas = None if family.canvas is None else family.canvas(generation)
    mask = read_mask(config.mask_token_id, raw, generation, tokenizer, traits.mask_token_id)
    vocab_size = traits.vocab_size or int(raw["vocab_size"])
    lengths = read_length_commands(traits, raw, tokenizer, vocab_size)
    if canvas is None:
        commands = (*(traits.edit_commands or ()), *(lengths.ids if lengths else ()))
        mask = check_mask(mask, vocab_size, commands, tokenizer)
        vocab_size = _num_text_ids(vocab_size, tokenizer.num_tokens, (mask, *commands))
    _check_defaults(decoding, traits)
    if decoding.pad_delete_to_right and lengths is None:
        raise InvalidConfig("decoding.pad_delete_to_right is for models as DreamOn")
    sampling = read_sampling(family, traits, checkpoint, canvas, decoding)
    _check_blocks(sampling, traits)
    _check_mixing(sampling, decoding, traits)
    warn_of_training(checkpoint.name, sampling, traits.attention)
    warn_of_mixing(checkpoint.name, sampling)
    positions = raw.get("max_position_embeddings") or traits.max_positions or DEFAULT_MAX_POSITIONS
    trained_len = traits.stated_positions or max(int(positions), stretched_positions(raw))
    return ModelInfo(
        name=config.served_name or checkpoint.name,
        max_model_len=_max_model_len(config.max_model_len, trained_len, traits),
        vocab_size=vocab_size,
        mask_token_id=None if canvas is not None else mask,
        eos_token_ids=read_eos_ids(raw, generation, traits, tokenizer, vocab_size),
        default_sampling=sampling,
        plain_sampling=read_plain_sampling(family, traits, checkpoint, decoding, sampling),
        own_sampling=read_own_sampling(family, traits, checkpoint, canvas, decoding),
        created_s=int(time.time()),
        attention=traits.attention,
        shift=traits.shift,
        schedule=traits.schedule,
        can_edit=traits.can_edit,
        can_mix=traits.can_mix,
        edit_commands=traits.edit_commands,
        length_commands=lengths,
        routing_block_length=traits.routing_block_length,
        caps_steps=traits.caps_steps,
        fills_best=traits.fills_best,
        keeps_keys=traits.keeps_keys,
        end_text=_end_text(traits, tokenizer),
        banned_ids=read_banned_ids(traits, tokenizer),
        stops_at_end=traits.stops_at_end,
        adapts_blocks=decoding.block_length == AUTO,
        canvas=canvas,
        images=_image_traits(family, checkpoint, tokenizer),
        begin_think_token_id=tokenizer.added_token_id("<think>"),
        end_think_token_id=tokenizer.added_token_id("</think>"),
    )


def _end_text(traits: Traits, tokenizer: Tokenizer) -> str | None:
    """Text that ends an answer, if the chat template writes it behind those of the assistant."""
    text = traits.end_text
    return text if text is not None and text in (tokenizer.chat_template or "") else None


def _image_traits(
    family: Family, checkpoint: Checkpoint, tokenizer: Tokenizer
) -> ImageTraits | None:
    """The way that a checkpoint takes images, if it does.

    One whose images are not supported, for a reason that is logged, serves text all the same.
    """
    if family.images is None:
        return None
    try:
        return family.images(checkpoint.config, checkpoint.folder, tokenizer.added_token_id)
    except InvalidCheckpoint as error:
        logger.warning("images are not taken: %s", error)
        return None


def _traits(family: Family, checkpoint: Checkpoint, config: ModelConfig) -> Traits:
    """Traits of a checkpoint, with the attention that the configuration or a name says (D2F, CDLM).

    Raises `InvalidCheckpoint` where the configuration must say it and does not, and `InvalidConfig`
    where it must not.
    """
    traits, named = family.traits(checkpoint.config), config.attention
    if named is None and family.attentions:
        raise InvalidCheckpoint(
            f"config.json of {checkpoint.name} does not say whether the model was trained with "
            "full attention (MDLM) or in blocks (BD3-LM): choose with --attention full or "
            "--attention block"
        )
    in_blocks = family.block_attention
    if in_blocks is not None:
        names = checkpoint.name, *(display_name(path) for path in config.adapter)
        one_block = is_cdlm(names)
        if named == "block" or (named is None and (one_block or is_d2f(names))):
            logger.info(
                "attention: a prompt sees all of itself, and each block those before it (%s); "
                "--attention full is for other weights",
                "CDLM" if one_block else "D2F",
            )
            return replace(
                traits, attention=in_blocks, length_commands=None, is_pipelined=not one_block
            )
    wanted = traits.attention if named is None else ATTENTIONS[named]
    if wanted not in (family.attentions or (traits.attention,)):
        attention = traits.attention.replace("_", " ")
        raise InvalidConfig(
            f"model.attention is {named}, but the attention of {checkpoint.name} is {attention}"
        )
    return replace(traits, attention=wanted)


def _max_model_len(wanted: int | None, trained_len: int, traits: Traits) -> int:
    """Positions of a prompt and its answer; raises `InvalidConfig` above the trained context."""
    if wanted is None or wanted <= trained_len:
        return wanted or trained_len
    way_out = "leave it unset"
    if traits.stated_positions is None:
        way_out += (
            ", or state a longer context with --hf-overrides "
            f"'{{\"max_position_embeddings\": {wanted}}}' if the checkpoint was made for it"
        )
    raise InvalidConfig(
        f"model.max_model_len is {wanted}, but the model's context is {trained_len}; {way_out}"
    )


def _check_defaults(decoding: DecodingConfig, traits: Traits) -> None:
    """Raise `InvalidConfig` for defaults that this attention pattern does not support."""
    has_blocks = traits.attention in ("block_causal", "prompt_block")
    if decoding.block_length == AUTO and not has_blocks:
        raise InvalidConfig("decoding.block_length auto needs a model with block-causal attention")
    caches = CACHES[traits.attention] if traits.keeps_keys else ("none",)
    if decoding.cache is not None and decoding.cache not in caches:
        known = " or ".join(caches)
        raise InvalidConfig(f"decoding.cache of this model must be {known}, got {decoding.cache}")
    if decoding.editing_threshold is not None and not traits.can_edit:
        raise InvalidConfig(
            "decoding.editing_threshold is for models that were trained to replace tokens, as "
            "LLaDA2.1"
        )
    if decoding.distance_penalty and traits.attention != "causal_window":
        raise InvalidConfig("decoding.distance_penalty is for models with a window, as WeDLM")
    may_open = traits.attention in ("prompt_block", "full") or (has_blocks and not traits.shift)
    if (decoding.open_blocks or 1) > 1 and not may_open:
        raise InvalidConfig(
            "decoding.open_blocks is for models with full attention, or with block-causal "
            "attention and logits in place"
        )
    if decoding.eps is not None and traits.schedule != "timed":
        raise InvalidConfig("decoding.eps is for models with Dream's schedule of steps")
    if decoding.block_length == AUTO and traits.routing_block_length is not None:
        raise InvalidConfig(
            "decoding.block_length auto is not for a model that chooses experts by block"
        )


def _check_blocks(sampling: SamplingParams, traits: Traits) -> None:
    """Raise `InvalidConfig` for defaults that this model refuses in requests."""
    several = (sampling.open_blocks or 1) > 1
    if several and sampling.cache not in (None, "none", "delayed"):
        raise InvalidConfig(
            f"decoding.open_blocks cannot be combined with cache {sampling.cache}; --open-blocks 1 "
            "denoises one block at a time"
        )
    if several and sampling.sub_block_length is not None:
        raise InvalidConfig("decoding.open_blocks cannot be combined with sub_block_length")
    if several and sampling.editing_threshold is not None and traits.edit_commands is not None:
        raise InvalidConfig(
            "decoding.open_blocks cannot be combined with editing_threshold in a model that "
            "deletes and inserts tokens"
        )
    try:
        if traits.routing_block_length is not None:
            check_whole_blocks(sampling.block_length, sampling.cache, traits.routing_block_length)
        if traits.edit_commands is not None and sampling.editing_threshold is not None:
            check_edits(sampling, sampling.policy or "threshold")
    except InvalidRequest as error:
        raise InvalidConfig(f"decoding.{error.field}: {error.message}") from error


def _check_mixing(sampling: SamplingParams, decoding: DecodingConfig, traits: Traits) -> None:
    """Raise `InvalidConfig` for defaults with which every request would be refused."""
    policy = sampling.policy
    if not sampling.mixes:
        return
    if not traits.can_mix:
        raise InvalidConfig(
            f"decoding.policy {policy} is for models that were trained on embeddings mixed with "
            "the mask token's, as DMax"
        )
    asked = {
        "editing_threshold": decoding.editing_threshold is not None,
        "sub_block_length": decoding.sub_block_length is not None,
        "cache": (decoding.cache or "none") != "none",
    }
    for name, is_asked in asked.items():
        if is_asked:
            raise InvalidConfig(f"decoding.{name} cannot be combined with the policy {policy}")


def _num_text_ids(vocab_size: int, num_tokens: int | None, needed: tuple[int, ...]) -> int:
    """Number of ids that a step scores: padding is cut off, `needed` ones are not.

    Raises `InvalidCheckpoint` for more ids without text than padding would explain.
    """
    if num_tokens is None:
        return vocab_size
    if vocab_size - num_tokens > MAX_PADDING:
        raise InvalidCheckpoint(
            f"config.json has a vocabulary of {vocab_size}, the tokenizer of {num_tokens}: ids "
            "without text, such as image tokens (MMaDA), are not supported"
        )
    return min(vocab_size, max(num_tokens, *(token_id + 1 for token_id in needed)))
