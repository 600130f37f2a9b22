"""DiffusionGemma (26B-A4B): canvases of noise after a causal prompt (transformers 5.23).

Encoder and decoder share their weights: the decoder's are read, and the encoder's scalar of each
layer. The vision tower is Gemma 4's.
"""

import torch
from torch import Tensor

from unmask.errors import InvalidCheckpoint
from unmask.models.canvas_decoder import (
    CanvasDecoder,
    CanvasLayer,
    FeedForward,
    Mixture,
    RopeTable,
    SelfConditioning,
)
from unmask.models.decoder import GatedMlp
from unmask.models.family import Family, RawConfig, Traits
from unmask.models.gemma_config import FIELDS, GemmaConfig, Span, read_config
from unmask.models.moe import take_stacked_experts
from unmask.models.rope import rope_tables
from unmask.models.vision.gemma4_traits import read_cell_traits
from unmask.models.vision.gemma4_weights import take_gemma4_tower
from unmask.models.weights import Weights
from unmask.types import MAX_BLOCK_LENGTH, CanvasSchedule
from unmask_kernels.linear.ops import Linear, make_linear
from unmask_kernels.noise.vocabulary import make_vocabulary

DECODER, ENCODER = "model.decoder.", "model.encoder.language_model."
DEFAULT_CANVAS = 256


class _Reader:
    """Reads tensors by the decoder's names and drops the encoder's copies of shared tensors."""

    def __init__(self, config: GemmaConfig, weights: Weights) -> None:
        self.config = config
        self.weights = weights

    def take(self, name: str, *shape: int) -> Tensor:
        self.weights.drop_copy(ENCODER + name, DECODER + name)
        return self.weights.take(DECODER + name, shape)

    def norm(self, name: str) -> Tensor:
        return self.take(f"{name}.weight", self.config.hidden_size)

    def ones(self, *shape: int) -> Tensor:
        return torch.ones(shape, dtype=self.weights.dtype, device=self.weights.device)

    def linear(self, num_outputs: dict[str, int], num_inputs: int) -> Linear:
        """One product of the layers in `num_outputs`, output sizes by name."""
        for name in num_outputs:
            self.weights.drop_copy(f"{ENCODER}{name}.weight", f"{DECODER}{name}.weight")
        names = [DECODER + name for name in num_outputs]
        return self.weights.take_linear(names, list(num_outputs.values()), num_inputs)

    def mlp(self, prefix: str) -> GatedMlp:
        hidden, intermediate = self.config.hidden_size, self.config.intermediate_size
        gate, up = f"{prefix}gate_proj.weight", f"{prefix}up_proj.weight"
        for name in (gate, up):
            self.weights.drop_copy(ENCODER + name, DECODER + name)
        gated = self.weights.take_gated(
            DECODER + gate, DECODER + up, intermediate, hidden, self.config.activation
        )
        return GatedMlp(gated, self.linear({f"{prefix}down_proj": hidden}, intermediate))

    def input_norms(self, prefix: str) -> Tensor:
        """Norms [3, C] before the dense MLP, the experts and the router of a layer."""
        c = self.config
        norms = [
            self.norm(f"{prefix}pre_feedforward_layernorm"),
            self.norm(f"{prefix}pre_feedforward_layernorm_2"),
            # The reference scales router inputs by this vector and by C ** -0.5.
            self.take(f"{prefix}router.scale", c.hidden_size) * c.hidden_size**-0.5,
        ]
        return torch.stack(norms)

    def mixture(self, prefix: str) -> Mixture:
        c = self.config
        experts = f"{ENCODER}{prefix}experts."
        for name in [name for name in self.weights.names if name.startswith(experts)]:
            self.weights.drop_copy(name, DECODER + name.removeprefix(ENCODER))
        return Mixture(
            # Never 8-bit: rounding could route rows to other experts.
            router=make_linear(
                self.take(f"{prefix}router.proj.weight", c.num_experts, c.hidden_size)
            ),
            scales=self.take(f"{prefix}router.per_expert_scale", c.num_experts).float(),
            experts=take_stacked_experts(
                self.weights,
                f"{DECODER}{prefix}experts.",
                c.num_experts,
                c.hidden_size,
                c.expert_size,
                c.activation,
            ),
            top_k=c.top_k_experts,
        )

    def heads(self, prefix: str, index: int) -> tuple[Linear, Tensor]:
        """QKV projection of a layer and its head norms; full layers have no value projection."""
        c, shape = self.config, self.config.shapes[index]
        size, num_kv = shape.head_dim, shape.num_kv_heads
        outputs = {f"{prefix}q_proj": c.num_heads * size, f"{prefix}k_proj": num_kv * size}
        if c.spans[index] == "sliding_attention":
            outputs[f"{prefix}v_proj"] = num_kv * size
        norms = [
            self.take(f"{prefix}q_norm.weight", size).expand(c.num_heads, -1),
            self.take(f"{prefix}k_norm.weight", size).expand(num_kv, -1),
            self.ones(num_kv, size),
        ]
        return self.linear(outputs, c.hidden_size), torch.cat(norms)

    def layer(self, index: int) -> CanvasLayer:
        c, prefix = self.config, f"layers.{index}."
        scalar = f"{prefix}layer_scalar"
        scalars = [self.weights.take(half + scalar, (1,)) for half in (ENCODER, DECODER)]
        heads, head_norms = self.heads(f"{prefix}self_attn.", index)
        attention_size = c.num_heads * c.shapes[index].head_dim
        return CanvasLayer(
            span=c.spans[index],
            input_norm=self.norm(f"{prefix}input_layernorm"),
            heads=heads,
            head_norms=head_norms,
            out=self.linear({f"{prefix}self_attn.o_proj": c.hidden_size}, attention_size),
            post_norm=self.norm(f"{prefix}post_attention_layernorm"),
            feed_forward=FeedForward(
                norms=self.input_norms(prefix),
                dense=self.mlp(f"{prefix}mlp."),
                mixture=self.mixture(prefix),
                post_norms=torch.stack(
                    [
                        self.norm(f"{prefix}post_feedforward_layernorm{part}")
                        for part in ("_1", "_2", "")
                    ]
                ),
            ),
            scalars=torch.cat(scalars),
        )


def build(raw: RawConfig, weights: Weights, num_positions: int) -> CanvasDecoder:
    config = read_config(raw)
    vision = take_gemma4_tower(raw, config.hidden_size, weights)
    weights.drop_copy("lm_head.weight", f"{DECODER}embed_tokens.weight")
    reader = _Reader(config, weights)
    embedding = reader.take("embed_tokens.weight", config.vocab_size, config.hidden_size)
    weights.note_shared(f"{DECODER}embed_tokens.weight", "the LM head")
    # The reference rounds the scale to the dtype of the weights.
    scale = torch.tensor(config.hidden_size**0.5).to(weights.dtype).item()
    model = CanvasDecoder(
        embedding=embedding,
        embedding_scale=scale,
        # Unpacked: canvases are scored with the slices of `vocabulary`.
        lm_head=Linear(embedding),
        vocabulary=make_vocabulary(embedding, softcap=config.softcap, scale=scale),
        shapes=config.shapes,
        layers=[reader.layer(i) for i in range(len(config.shapes))],
        ropes=_rope_tables(config, weights, num_positions),
        self_conditioning=SelfConditioning(
            pre_norm=reader.norm("self_conditioning.pre_norm"),
            mlp=reader.mlp("self_conditioning."),
            post_norm=reader.ones(config.hidden_size),
        ),
        norm=reader.norm("norm"),
        eps=config.rms_norm_eps,
        vision=vision,
    )
    weights.check_all_taken()
    return model


def _rope_tables(
    config: GemmaConfig, weights: Weights, num_positions: int
) -> dict[Span, RopeTable]:
    tables = {}
    for span, rope in config.ropes.items():
        exponents = torch.arange(0, 2 * rope.num_pairs, 2, dtype=torch.float32) / rope.head_dim
        inverse = torch.zeros(rope.head_dim // 2)
        inverse[: rope.num_pairs] = 1.0 / rope.theta**exponents / rope.factor
        tables[span] = RopeTable(
            *rope_tables(inverse, num_positions, weights.dtype, weights.device)
        )
    return tables


def traits(raw: RawConfig) -> Traits:
    """Canvas attention with the trained canvas length; raises `InvalidCheckpoint`."""
    length = raw.get("canvas_length") or DEFAULT_CANVAS
    if length > MAX_BLOCK_LENGTH:
        raise InvalidCheckpoint(
            f"canvas_length must be at most {MAX_BLOCK_LENGTH} to be served, got {length}"
        )
    return Traits("canvas", block_length=length)


def read_schedule(generation: RawConfig) -> CanvasSchedule:
    """Denoising schedule of a `generation_config.json`, with transformers' defaults."""
    sampler = generation.get("sampler_config") or {}
    values = {
        "steps": generation.get("max_denoising_steps"),
        "entropy_bound": sampler.get("entropy_bound"),
        "t_max": generation.get("t_max"),
        "t_min": generation.get("t_min"),
        "stability": generation.get("stability_threshold"),
        "confidence": generation.get("confidence_threshold"),
    }
    return CanvasSchedule(**{name: value for name, value in values.items() if value is not None})


FAMILY = Family(
    "diffusion-gemma",
    ("DiffusionGemmaForBlockDiffusion",),
    traits,
    build,
    FIELDS,
    read_schedule,
    verified="logits and rows of images to 1e-4, of transformers' code on tiny random checkpoints",
    model_types=("diffusion_gemma",),
    images=read_cell_traits,
)
