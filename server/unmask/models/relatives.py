"""Relatives of other families: the same layers, with other masks, names and defaults.

Stable-DiffCoder and iLLaDA are Llama's layers, Efficient-DLM and CoDA are Qwen3's, and RND1 is
Qwen3-MoE.
"""

from collections.abc import Callable

from unmask.models import llada, llada_hf, nemotron, sdar, sdar_moe
from unmask.models.config_fields import ConfigFields
from unmask.models.decoder import Decoder
from unmask.models.family import Family, RawConfig, Traits
from unmask.models.qwen import FIELDS as QWEN_FIELDS
from unmask.models.qwen import build_decoder, dense
from unmask.models.weights import Weights
from unmask.types import ScheduleName

SEED_MASK_TOKEN_ID = 5  # of Seed-Coder's tokenizer, which does not always name it
QWEN_MASK_TOKEN_ID = 151669
EFFICIENT_MASK_TOKEN_ID, EFFICIENT_BLOCK_LENGTH = 151662, 32
DIFFCODER_BLOCK_LENGTH, DIFFCODER_THRESHOLD = 4, 0.95

# Fields that Nemotron's configuration has from Efficient-DLM's.
NEMOTRON_ACCEPTED = ("dlm_arch", "dlm_type", "num_ar_layers", "num_diffusion_layers")
_LLAMA = llada_hf.FIELDS
_BLOCK_SIZE = ConfigFields(read=frozenset(("block_size",)))
_EFFICIENT = QWEN_FIELDS.joined(
    ConfigFields(
        read=frozenset(("attention_bias", "block_size", "disable_qk_norm")),
        # Fields of training are Nemotron's; the others are sizes of its data and of buffers.
        harmless=nemotron.FIELDS.harmless
        | frozenset(
            (
                *("commit_mask_max_batch", "commit_mask_max_block", "commit_mask_max_total_len"),
                *("diffusion_lm", "seq_length"),
            )
        ),
        accepted={
            **{name: nemotron.FIELDS.accepted[name] for name in NEMOTRON_ACCEPTED},
            # A prefix that sees all of itself and a causal model would be other models.
            "dlm_paradigm": ("bidirectional", "block_diff", "efficient_block_diff"),
        },
    )
)
_ILLADA = _LLAMA.joined(ConfigFields(accepted={"layer_norm_eps": ()}))
_CODA = QWEN_FIELDS.joined(
    ConfigFields(
        read=frozenset(("attention_bias",)),
        harmless=frozenset(
            (
                *("attention_kernel", "block_masking_probability", "mask_block_sizes"),
                *("prefix_probability", "sampling_eps", "truncate_probability"),
            )
        ),
    )
)
_RND1 = sdar_moe.FIELDS.joined(
    ConfigFields(
        harmless=frozenset(("moe_backend", "num_diffusion_steps")),
        accepted={"is_causal": (False,), "sliding_window": (False,)},
    )
)


def _build_efficient_dlm(raw: RawConfig, weights: Weights, num_positions: int) -> Decoder:
    bias = bool(raw.get("attention_bias"))
    return build_decoder(
        raw,
        weights,
        num_positions,
        take_mlp=dense(raw),
        qkv_bias=bias,
        out_bias=bias,
        qk_norm=not raw.get("disable_qk_norm"),
        root="encoder.",
        head="diffusion_head.weight",
    )


def _stable_diffcoder(raw: RawConfig) -> Traits:
    """Block-causal attention; greedy, as the authors' `generate` ignores the file's sampling."""
    return Traits(
        "block_causal",
        mask_token_id=SEED_MASK_TOKEN_ID,
        block_length=raw.get("block_size") or DIFFCODER_BLOCK_LENGTH,
        threshold=DIFFCODER_THRESHOLD,
        greedy=True,
    )


def _efficient_dlm(raw: RawConfig) -> Traits:
    return Traits(
        "block_causal",
        mask_token_id=EFFICIENT_MASK_TOKEN_ID,
        block_length=raw.get("block_size") or EFFICIENT_BLOCK_LENGTH,
    )


def _illada(_raw: RawConfig) -> Traits:
    return Traits(
        "full",
        mask_token_id=SEED_MASK_TOKEN_ID,
        block_length=llada.BLOCK_LENGTH,
    )


def _by_entropy(schedule: ScheduleName) -> Callable[[RawConfig], Traits]:
    """Traits of the authors' loop by entropy, with the whole answer as one block."""
    return lambda _raw: Traits(
        "full",
        shift=True,
        mask_token_id=QWEN_MASK_TOKEN_ID,
        policy="entropy",
        schedule=schedule,
        end_tokens=("<|im_end|>",),
    )


FAMILIES = (
    Family(
        "stable-diffcoder",
        ("StableDiffcoderForCausalLM",),
        _stable_diffcoder,
        llada_hf.build,
        _LLAMA.joined(_BLOCK_SIZE),
        verified="logits to 1e-4, of transformers' Llama with the authors' mask, and tokens "
        "exactly, of a port of their loop over it, on a tiny random checkpoint",
        block_field="block_size",
    ),
    Family(
        "efficient-dlm",
        ("DiffEncoderModel",),
        _efficient_dlm,
        _build_efficient_dlm,
        _EFFICIENT,
        verified="logits to 1e-4 and tokens exactly, of transformers' Qwen3 with a block-causal "
        "mask on a tiny random checkpoint",
        block_field="block_size",
    ),
    Family(
        "illada",
        ("ILLaDAForCausalLM",),
        _illada,
        llada_hf.build,
        _ILLADA,
        verified="logits to 1e-4, of transformers' Llama with full attention, and tokens exactly, "
        "of a port of LLaDA's loop over it, on a tiny random checkpoint",
        model_types=("illada",),
    ),
    Family(
        "coda",
        ("CoDALanguageModel",),
        _by_entropy("timed"),
        sdar.build,
        _CODA,
        verified="logits to 1e-4, of transformers' Qwen3 with full attention, and tokens exactly, "
        "of a port of the authors' loop over it, on a tiny random checkpoint",
        model_types=("CoDA",),
    ),
    Family(
        "rnd1",
        ("RND1LM",),
        _by_entropy("remaining"),
        sdar_moe.build,
        _RND1,
        verified="logits to 1e-4, of transformers' Qwen3-MoE with full attention, and tokens "
        "exactly, of a port of the authors' loop over it, on a tiny random checkpoint",
        model_types=("rnd1",),
    ),
)
