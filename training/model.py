"""The embedded model in training: SDAR's architecture with its parameter names."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.tokenizer import END_ID, MASK_ID, PAD_ID, VOCAB_SIZE

HIDDEN_BIAS = -30_000.0  # of hidden keys; finite, so that a tile without visible keys has no NaN


@dataclass(frozen=True, slots=True)
class Shape:
    hidden: int = 256
    layers: int = 8
    heads: int = 4
    kv_heads: int = 2
    head_dim: int = 64
    intermediate: int = 768
    vocab: int = VOCAB_SIZE
    theta: float = 10_000.0
    eps: float = 1e-6
    max_positions: int = 2048

    def config(self, block_len: int) -> dict[str, object]:
        """`config.json` of a checkpoint of this shape."""
        return {
            "architectures": ["SDARForCausalLM"],
            "model_type": "sdar",
            "attention_bias": False,
            "block_size": block_len,
            "bos_token_id": None,
            "eos_token_id": END_ID,
            "head_dim": self.head_dim,
            "hidden_act": "silu",
            "hidden_size": self.hidden,
            "intermediate_size": self.intermediate,
            "mask_token_id": MASK_ID,
            "max_position_embeddings": self.max_positions,
            "num_attention_heads": self.heads,
            "num_hidden_layers": self.layers,
            "num_key_value_heads": self.kv_heads,
            "pad_token_id": PAD_ID,
            "rms_norm_eps": self.eps,
            "rope_scaling": None,
            "rope_theta": self.theta,
            "tie_word_embeddings": True,
            "torch_dtype": "bfloat16",
            "use_sliding_window": False,
            "vocab_size": self.vocab,
        }


class Norm(nn.Module):
    """RMS norm, computed in float32."""

    def __init__(self, size: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """Normalise the last dimension."""
        wide = x.float()
        scale = torch.rsqrt(wide.square().mean(-1, keepdim=True) + self.eps)
        return (wide * scale).to(x.dtype) * self.weight


def together(x: Tensor, *layers: nn.Linear) -> tuple[Tensor, ...]:
    """Outputs of several layers in one product, which reads its input once."""
    weight = torch.cat([layer.weight for layer in layers])
    return F.linear(x, weight).split([layer.out_features for layer in layers], -1)


class Attention(nn.Module):
    """Grouped-query attention with QK norm."""

    def __init__(self, s: Shape) -> None:
        super().__init__()
        self.head_dim = s.head_dim
        self.q_proj = nn.Linear(s.hidden, s.heads * s.head_dim, bias=False)
        self.k_proj = nn.Linear(s.hidden, s.kv_heads * s.head_dim, bias=False)
        self.v_proj = nn.Linear(s.hidden, s.kv_heads * s.head_dim, bias=False)
        self.o_proj = nn.Linear(s.heads * s.head_dim, s.hidden, bias=False)
        self.q_norm = Norm(s.head_dim, s.eps)
        self.k_norm = Norm(s.head_dim, s.eps)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, bias: Tensor) -> Tensor:
        """Rows `x` [R, L, C] with `bias` [R, 1, L, L] on the scores."""
        rows, length, _ = x.shape

        def heads(y: Tensor) -> Tensor:
            return y.view(rows, length, -1, self.head_dim).transpose(1, 2)

        q, k, v = together(x, self.q_proj, self.k_proj, self.v_proj)
        q = _rotate(self.q_norm(heads(q)), cos, sin)
        k = _rotate(self.k_norm(heads(k)), cos, sin)
        v = heads(v)
        group = q.shape[1] // k.shape[1]
        if x.is_cuda:
            # The fused attention that takes a bias takes no groups of heads.
            k, v = k.repeat_interleave(group, 1), v.repeat_interleave(group, 1)
            mixed = F.scaled_dot_product_attention(q, k, v, bias.expand(-1, q.shape[1], -1, -1))
            fused: Tensor = self.o_proj(mixed.transpose(1, 2).reshape(rows, length, -1))
            return fused
        # Rows are short: written out and compiled, this beats the fused attention's backward pass.
        q = q.reshape(rows, k.shape[1], group * length, self.head_dim)
        scores = (q @ k.transpose(2, 3)).float() * self.head_dim**-0.5
        scores = scores.view(rows, -1, group, length, length) + bias[:, :, None]
        shares = scores.softmax(-1).to(v.dtype).view(rows, -1, group * length, length)
        mixed = (shares @ v).view(rows, -1, length, self.head_dim)
        out: Tensor = self.o_proj(mixed.transpose(1, 2).reshape(rows, length, -1))
        return out


class Mlp(nn.Module):
    """SwiGLU."""

    def __init__(self, s: Shape) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(s.hidden, s.intermediate, bias=False)
        self.up_proj = nn.Linear(s.hidden, s.intermediate, bias=False)
        self.down_proj = nn.Linear(s.intermediate, s.hidden, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Rows [R, L, C]."""
        gate, up = together(x, self.gate_proj, self.up_proj)
        out: Tensor = self.down_proj(F.silu(gate) * up)
        return out


class Layer(nn.Module):
    """Pre-norm transformer layer: attention and MLP, each with a residual."""

    def __init__(self, s: Shape) -> None:
        super().__init__()
        self.input_layernorm = Norm(s.hidden, s.eps)
        self.self_attn = Attention(s)
        self.post_attention_layernorm = Norm(s.hidden, s.eps)
        self.mlp = Mlp(s)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, bias: Tensor) -> Tensor:
        """Rows [R, L, C]."""
        x = x + self.self_attn(self.input_layernorm(x), cos, sin, bias)
        out: Tensor = x + self.mlp(self.post_attention_layernorm(x))
        return out


class Trunk(nn.Module):
    """Model without the LM head, which is tied to the embedding."""

    def __init__(self, s: Shape) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(s.vocab, s.hidden)
        self.layers = nn.ModuleList([Layer(s) for _ in range(s.layers)])
        self.norm = Norm(s.hidden, s.eps)


class Model(nn.Module):
    """Hidden states of partly masked rows, and the loss at their masked positions."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.model = Trunk(shape)
        frequency = shape.theta ** (-torch.arange(0, shape.head_dim, 2).float() / shape.head_dim)
        angles = torch.arange(shape.max_positions).float()[:, None] * frequency
        self.register_buffer("cos", angles.cos(), persistent=False)
        self.register_buffer("sin", angles.sin(), persistent=False)
        self._init()

    def _init(self) -> None:
        for name, parameter in self.named_parameters():
            if parameter.ndim != 2:
                continue
            std = 0.02 if "embed" in name else parameter.shape[1] ** -0.5
            if name.endswith(("o_proj.weight", "down_proj.weight")):
                std *= (2 * self.shape.layers) ** -0.5
            nn.init.normal_(parameter, std=std)

    def hidden(self, ids: Tensor, positions: Tensor, mask: Tensor) -> Tensor:
        """Normalised hidden states [R, L, C]; `mask` [R, 1, L, L] is True for visible keys."""
        x, positions = self.model.embed_tokens(ids.long()), positions.long()
        cos = self.get_buffer("cos")[positions][:, None].to(x.dtype)
        sin = self.get_buffer("sin")[positions][:, None].to(x.dtype)
        # A sum with a float is vectorised, filling under a bool was not: 47 for 82 ms a layer.
        bias = torch.zeros(mask.shape, dtype=x.dtype, device=x.device)
        bias.masked_fill_(~mask, HIDDEN_BIAS)
        for layer in self.model.layers:
            x = layer(x, cos, sin, bias)
        out: Tensor = self.model.norm(x)
        return out

    def logits(self, hidden: Tensor) -> Tensor:
        """Scores over the vocabulary, float32."""
        return F.linear(hidden, self.model.embed_tokens.weight).float()


def _rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    low, high = x.chunk(2, -1)
    return torch.cat((low * cos - high * sin, high * cos + low * sin), -1)
