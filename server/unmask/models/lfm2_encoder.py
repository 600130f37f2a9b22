"""LFM2.5's encoder as a masked diffusion model (LFM2.5-Encoder-350M-Diffusion, Liquid AI, 2026).

Attention spans the whole sequence, and so does a convolution to both sides of a position: a pass
always has all rows of a sequence, and keeps no keys.
"""

import logging
import re
from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor

from unmask.errors import InvalidCheckpoint
from unmask.models.config_fields import ConfigFields
from unmask.models.family import Family, RawConfig, Traits
from unmask.models.inputs import ForwardInputs, Vision
from unmask.models.kv_cache import LayerShape
from unmask.models.lfm2_layers import FIELDS as LFM2_FIELDS
from unmask.models.lfm2_layers import (
    NUM_TAPS,
    ConvolutionMixer,
    LayerReader,
    layer_kinds,
    layer_shapes,
    mix_by_attention,
    read_config,
)
from unmask.models.rope import rope_tables
from unmask.models.weights import Weights
from unmask_kernels.convolution.ops import centred_convolution
from unmask_kernels.layers.ops import rms_norm
from unmask_kernels.linear.ops import make_linear
from unmask_kernels.linear.padding import pad_rows, row_unit

logger = logging.getLogger(__name__)

# Settings of Liquid AI's demonstration, whose mask token is the tokenizer's.
BLOCK_LENGTH, THRESHOLD = 16, 0.9
MASK_TOKEN_ID = 16
END_TEXT = "[/Answer]"
# Special tokens but the end; the authors' code leaves them out of all probabilities.
BANNED = "<|mask|>", "<|pad|>", "<|startoftext|>", "<|endoftext|>", "<|im_start|>"
ROOTS = "lfm2.", "model."  # of names in the authors' files, and in those of transformers
GENERATES = re.compile(r"diffu|mdlm|dllm", re.I)

FIELDS = LFM2_FIELDS.joined(ConfigFields(harmless=frozenset(("is_causal",))))


class Lfm2Encoder:
    """Weights and forward pass, without the final norm and the LM head."""

    state_sizes: Sequence[int] = ()

    def __init__(self, raw: RawConfig, weights: Weights, num_positions: int) -> None:
        config = read_config(raw)
        if raw.get("conv_L_cache", NUM_TAPS) % 2 == 0:
            raise InvalidCheckpoint(
                f"conv_L_cache must be odd in an encoder, got {raw['conv_L_cache']}"
            )
        self._config = config
        root = next((root for root in ROOTS if weights.has(f"{root}embed_tokens.weight")), ROOTS[0])
        reader = LayerReader(raw, config, weights, root)
        name = f"{root}embed_tokens.weight"
        weights.drop_copy("lm_head.weight", name)
        self._embedding = weights.take(name, (config.vocab_size, config.hidden_size))
        weights.note_shared(name, "the LM head")
        self._layers = [reader.layer(i, kind) for i, kind in enumerate(layer_kinds(raw))]
        self._norm = reader.norm(f"{root}embedding_norm")
        self.lm_head = make_linear(weights.cut_head(self._embedding))
        weights.check_all_taken()
        pairs, scale = config.rope.pairs(config.head_dim), config.rope.scale
        where = num_positions, weights.dtype, weights.device
        self._cos, self._sin = rope_tables(pairs, *where, scale=scale)
        self.row_unit = row_unit(weights.device)
        self.vision: Vision | None = None

    @property
    def layers(self) -> Sequence[LayerShape]:
        """Key and value shape of each attention layer."""
        return layer_shapes(self._config, self._layers)

    def forward(self, step: ForwardInputs) -> Tensor:
        """Hidden states [W, C] of the step's wanted rows; writes keys and values to the cache."""
        eps, num_rows = self._config.rms_norm_eps, len(step.token_ids)
        cos_sin = self._cos[step.positions], self._sin[step.positions]
        x = pad_rows(F.embedding(step.token_ids, self._embedding), self.row_unit)
        num_attentions = 0
        for layer in self._layers:
            mixer, normed = layer.mixer, rms_norm(x, layer.norm, eps)
            if isinstance(mixer, ConvolutionMixer):
                projected = mixer.inner(normed)[:num_rows]
                mixed = centred_convolution(projected, mixer.weight, mixer.bias, step.positions)
            else:
                mixed = mix_by_attention(mixer, self._config, normed, step, cos_sin, num_attentions)
                num_attentions += 1
            x = mixer.out.add(pad_rows(mixed, self.row_unit), x)
            x = layer.mlp.add(rms_norm(x, layer.mlp_norm, eps), x)
        return x[:num_rows] if step.wanted is None else x[step.wanted]

    def final_norm(self, hidden: Tensor) -> Tensor:
        """The final norm, applied only to the rows [M, C] that need logits."""
        return rms_norm(hidden, self._norm, self._config.rms_norm_eps)


def traits(_raw: RawConfig) -> Traits:
    """Full attention, in the blocks and at the threshold of the authors' demonstration."""
    return Traits(
        "full",
        mask_token_id=MASK_TOKEN_ID,
        block_length=BLOCK_LENGTH,
        policy="threshold",
        threshold=THRESHOLD,
        end_text=END_TEXT,
        banned_tokens=BANNED,
        keeps_keys=False,
    )


def warn_of_training(name: str) -> None:
    """Warn of a checkpoint whose name does not tell that it was trained by diffusion."""
    if GENERATES.search(name) is None:
        logger.warning(
            "%s: the name does not tell that LFM2's encoder was trained by diffusion; one that was "
            "not fills gaps of a few tokens, and writes no answers",
            name,
        )


FAMILY = Family(
    "lfm2-encoder",
    ("Lfm2BidirectionalForMaskedLM",),
    traits,
    Lfm2Encoder,
    FIELDS,
    verified="logits to 1e-4, of transformers' LFM2 layers with the authors' attention and "
    "convolutions, and tokens exactly, of their loop over it, on a tiny random checkpoint",
    model_types=("lfm2_bidirectional",),
    begins_chats=True,
    warn=warn_of_training,
)
