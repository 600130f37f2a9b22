"""Nemotron-Labs-Diffusion (3B, 8B, 14B): Ministral 3 with a causal prefix and an open block.

One set of weights decodes by diffusion, autoregressively, and by speculation with its own drafts
(Fu et al., 2026). A row of the open block predicts its own position, a causal row the next one.
"""

from pathlib import Path

from unmask.models.config_fields import ConfigFields
from unmask.models.decoder import Decoder
from unmask.models.family import Family, RawConfig, Traits
from unmask.models.hub import DRAFT_ADAPTER
from unmask.models.lora import LowRank, read_lora
from unmask.models.qwen import FIELDS as QWEN_FIELDS
from unmask.models.qwen import build_decoder, dense
from unmask.models.rope import FIELDS as ROPE_FIELDS
from unmask.models.rope import QUERY_SCALE_FIELDS
from unmask.models.weights import Weights

BLOCK_LENGTH = 32
MASK_TOKEN_ID = 100

_ROPE = ROPE_FIELDS.joined(QUERY_SCALE_FIELDS)
FIELDS = QWEN_FIELDS.joined(
    ConfigFields(
        read=frozenset(("block_size",)),
        harmless=frozenset(
            (
                # Losses, and the masking of training data.
                *("ada_dlm_loss_ratio", "ada_perm_ratio_global", "ada_perm_ratio_per_block"),
                *("adaptive_mask_rate", "ar_loss_weight", "complementary_mask"),
                *("diff_loss_weight", "dlm_loss_weight", "dp_varying_mask_ratio"),
                *("global_loss_avg", "multi_sampling", "num_skip_loss_tokens", "prefix_ratio"),
                *("random_length_prob", "tok_mask_half_life_ratio"),
            )
        ),
        accepted={
            "attention_bias": (False,),
            "dlm_arch": ("encoder",),
            # Training with `block_diff` is for decoding with `bidirectional`; `autoregressive`
            # trains no drafts.
            "dlm_paradigm": ("bidirectional", "block_diff"),
            "dlm_type": ("llada",),  # `dream` would shift the logits of the open block
            "mlp_bias": (False,),
            "num_ar_layers": (0,),
            "num_diffusion_layers": (0,),
            "sliding_window": (),
            "tie_word_embeddings": (False,),
        },
        nested={"rope_parameters": _ROPE, "rope_scaling": _ROPE},
    )
)


def build(raw: RawConfig, weights: Weights, num_positions: int) -> Decoder:
    decoder = build_decoder(
        {**raw, "tie_word_embeddings": False},
        weights,
        num_positions,
        take_mlp=dense(raw),
        root="encoder.",
        head="diffusion_head.weight",
    )
    if weights.folder is not None and (weights.folder / DRAFT_ADAPTER).is_dir():
        decoder.draft_adapters = _read_adapters(weights.folder / DRAFT_ADAPTER, decoder, weights)
    return decoder


def _read_adapters(folder: Path, decoder: Decoder, weights: Weights) -> list[LowRank]:
    config = decoder.config
    names = [f"encoder.layers.{i}.self_attn.o_proj" for i in range(config.num_layers)]
    shape = config.hidden_size, config.num_qkv[0]
    return read_lora(folder, "o_proj", names, shape, weights.dtype, weights.device)


def traits(raw: RawConfig) -> Traits:
    """Causal prefix and open block; greedy, as the authors' code ignores generation_config.json."""
    return Traits(
        "causal_prefix",
        mask_token_id=MASK_TOKEN_ID,
        block_length=raw.get("block_size") or BLOCK_LENGTH,
        greedy=True,
    )


FAMILY = Family(
    "nemotron",
    (
        "NemotronLabsDiffusionModel",
        "NemotronLabsDiffusionEncoderModel",  # of early revisions
    ),
    traits,
    build,
    FIELDS,
    verified="logits to 1e-4, of transformers' Ministral 3 with the authors' attention masks, and "
    "tokens exactly, of the authors' loops over it, on a tiny random checkpoint",
    model_types=("nemotron_labs_diffusion",),
    block_field="block_size",
)
