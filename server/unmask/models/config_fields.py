"""Fields of a `config.json`: read by a family, without effect, or refused by name.

An unknown field may change the computation, so a checkpoint that has one is refused.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from unmask.errors import InvalidCheckpoint

Accepted = Mapping[str, tuple[Any, ...]]
CONFIG = "config.json"

# Read for every family, in `checkpoint` and `registry`.
COMMON = frozenset(
    (
        *("architectures", "auto_map", "dtype", "eos_token_id", "mask_token_id", "model_file"),
        *("model_type", "quantization", "quantization_config", "torch_dtype", "vocab_size"),
    )
)
# Fields of transformers' base class, of training and of caches: no effect on a forward pass.
HARMLESS = frozenset(
    (
        *("_attn_implementation_autoset", "_attn_implementation_internal", "_auto_class"),
        "_moe_implementation",  # VeOmni's: one product for all experts, or one for each
        *("_experts_implementation", "base_model_ep_plan", "base_model_fsdp_plan"),
        *("base_model_pp_plan", "base_model_tp_plan", "experts_implementation"),
        *("gradient_checkpointing_kwargs", "ms_swift_version", "neftune_noise_alpha"),
        *("_attn_implementation", "_commit_hash", "_name_or_path", "attn_implementation"),
        *("add_cross_attention", "attention_dropout", "bad_words_ids", "begin_suppress_tokens"),
        *("bos_token_id", "chunk_size_feed_forward", "cross_attention_hidden_size"),
        *("decoder_start_token_id", "diversity_penalty", "do_sample", "early_stopping"),
        *("embedding_dropout", "encoder_no_repeat_ngram_size", "exponential_decay_length_penalty"),
        *("finetuning_task", "forced_bos_token_id", "forced_eos_token_id", "id2label"),
        *("gradient_checkpointing", "hidden_dropout", "initializer_range", "is_decoder"),
        *("is_encoder_decoder", "keys_to_ignore_at_inference", "label2id", "length_penalty"),
        *("max_length", "min_length", "no_repeat_ngram_size", "num_beam_groups", "num_beams"),
        *("num_labels", "num_return_sequences", "output_attentions", "output_hidden_states"),
        *("output_past", "output_scores", "pad_token_id", "prefix", "pretraining_tp"),
        *("problem_type", "pruned_heads", "remove_invalid_values", "repetition_penalty"),
        *("resid_pdrop", "residual_dropout", "return_dict", "return_dict_in_generate"),
        *("sep_token_id", "suppress_tokens", "task_specific_params", "temperature"),
        *("tf_legacy_loss", "tie_encoder_decoder", "tokenizer_class", "top_k", "top_p"),
        *("torchscript", "transformers_version", "typical_p", "unk_token_id", "unsloth_fixed"),
        *("unsloth_version", "use_bfloat16", "use_cache", "use_return_dict"),
    )
)
# Known meanings of refused fields.
MEANINGS: Mapping[str, str] = {
    "block_causal_prompt": "trained to verify drafts, with masks in the order of their steps",
    "codebook_size": "image tokens in the vocabulary, as of MMaDA",
    "delete_token_id": "LLaDA2.2's editing by commands",
    "num_head_layers": "a network that chooses positions, as of LLaDOU and dUltra",
    "num_vq_tokens": "image tokens in the vocabulary, as of MMaDA",
    "split_token_id": "LLaDA2.2's editing by commands",
    "use_fp8_experts": "experts in FP8 by code of its own, as of LLaDA2.0-Uni",
    "use_regular_causal": "strictly causal attention and shifted logits, as of I-DLM and UNO",
}


@dataclass(frozen=True, slots=True)
class ConfigFields:
    """Fields that a family knows, beside those of every family.

    `accepted` lists the allowed values of a field (`null` is always allowed); `nested` has the
    known fields of objects.
    """

    read: frozenset[str] = frozenset()
    harmless: frozenset[str] = frozenset()
    accepted: Accepted = field(default_factory=dict)
    nested: Mapping[str, "ConfigFields"] = field(default_factory=dict)

    def joined(self, other: "ConfigFields") -> "ConfigFields":
        return ConfigFields(
            self.read | other.read,
            self.harmless | other.harmless,
            {**self.accepted, **other.accepted},
            {**self.nested, **other.nested},
        )


def check_fields(raw: Mapping[str, Any], known: ConfigFields, file: str = CONFIG) -> None:
    """Raise `InvalidCheckpoint` that names every unknown field and every value not accepted.

    A `null` field counts as absent.
    """
    if problems := list(_problems(raw, known)):
        way_out = "with --hf-overrides" if file == CONFIG else "in the file"
        raise InvalidCheckpoint(
            f"{file} has fields that are not supported: {', '.join(problems)}. If a field has no "
            f"effect, set it to null {way_out}"
        )


def count_problems(raw: Mapping[str, Any], known: ConfigFields) -> int:
    """Number of fields that `check_fields` would name."""
    return sum(1 for _ in _problems(raw, known))


def _problems(raw: Mapping[str, Any], known: ConfigFields, prefix: str = "") -> Iterator[str]:
    for name, value in raw.items():
        if value is None:
            continue
        if name in known.nested and isinstance(value, Mapping):
            yield from _problems(value, known.nested[name], f"{prefix}{name}.")
        elif not _is_known(name, value, known):
            meaning = MEANINGS.get(name)
            yield f"{prefix}{name}: {_short_json(value)}" + (f" ({meaning})" if meaning else "")


def _is_known(name: str, value: Any, known: ConfigFields) -> bool:
    if name in known.accepted:
        return _is_one_of(value, known.accepted[name])
    return name in COMMON or name in HARMLESS or name in known.read or name in known.harmless


def _short_json(value: Any) -> str:
    return f"{json.dumps(value, default=str):.60}"


def _is_one_of(value: Any, accepted: tuple[Any, ...]) -> bool:
    """True if a value is listed; `1` is not `true`."""
    return any(
        value == other and isinstance(value, bool) == isinstance(other, bool) for other in accepted
    )
