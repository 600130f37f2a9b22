"""Random weights in LLaDA's architecture, and their file for llama.cpp."""

import string
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.family_shapes import LLADA

LETTERS = string.ascii_lowercase  # tokens; the others are numbers


@dataclass(frozen=True, slots=True)
class Shape:
    """Sizes of a LLaDA checkpoint, whose queries and keys have as many heads."""

    vocab_size: int
    hidden_size: int
    intermediate_size: int
    num_layers: int
    num_heads: int

    @property
    def mask_token_id(self) -> int:
        return self.vocab_size - 1

    def config(self) -> dict[str, Any]:
        """`config.json`."""
        return LLADA.config | {
            "vocab_size": self.vocab_size,
            "embedding_size": self.vocab_size,
            "mask_token_id": self.mask_token_id,
            "d_model": self.hidden_size,
            "mlp_hidden_size": self.intermediate_size,
            "n_layers": self.num_layers,
            "n_heads": self.num_heads,
            "n_kv_heads": self.num_heads,
            "torch_dtype": "float32",
        }

    def weights(self) -> dict[str, Tensor]:
        """Random tensors under LLaDA's names."""
        generator = torch.Generator().manual_seed(0)
        hidden, inner = self.hidden_size, self.intermediate_size

        def draw(*size: int) -> Tensor:
            return torch.randn(size, generator=generator) * size[-1] ** -0.5

        top = "model.transformer"
        weights = {
            f"{top}.wte.weight": draw(self.vocab_size, hidden),
            f"{top}.ln_f.weight": torch.ones(hidden),
            f"{top}.ff_out.weight": draw(self.vocab_size, hidden),
        }
        for i in range(self.num_layers):
            layer = {
                **{name: draw(hidden, hidden) for name in ("q_proj", "k_proj", "v_proj")},
                "attn_out": draw(hidden, hidden),
                **{name: draw(inner, hidden) for name in ("ff_proj", "up_proj")},
                "ff_out": draw(hidden, inner),
                **{name: torch.ones(hidden) for name in ("attn_norm", "ff_norm")},
            }
            weights |= {f"{top}.blocks.{i}.{name}.weight": w for name, w in layer.items()}
        return weights


SHAPES = {
    "90M": Shape(16_384, 768, 2304, 8, 12),
    "500M": Shape(32_768, 1536, 4608, 12, 24),
}
GGUF_NAMES = {
    "wte": "token_embd",
    "ln_f": "output_norm",
    "q_proj": "attn_q",
    "k_proj": "attn_k",
    "v_proj": "attn_v",
    "attn_out": "attn_output",
    "ff_proj": "ffn_gate",
    "up_proj": "ffn_up",
    "ff_out": "ffn_down",
    "attn_norm": "attn_norm",
    "ff_norm": "ffn_norm",
}


def gguf_name(name: str) -> str:
    """llama.cpp's name of one of LLaDA's tensors."""
    parts = name.split(".")[2:]
    if parts[0] == "ff_out":
        return "output.weight"
    if parts[0] == "blocks":
        return f"blk.{parts[1]}.{GGUF_NAMES[parts[2]]}.weight"
    return f"{GGUF_NAMES[parts[0]]}.weight"


def interleaved(weight: Tensor, num_heads: int) -> Tensor:
    """Rows of queries or keys in the order of llama.cpp's RoPE, which turns neighbours."""
    halves = weight.view(num_heads, 2, -1, weight.shape[1])
    return halves.transpose(1, 2).reshape(weight.shape).contiguous()


def write_gguf(path: Path, shape: Shape, weights: dict[str, Tensor], kind: str) -> None:
    """Write a model for llama.cpp, whose tokens are letters and numbers."""
    import gguf

    writer = gguf.GGUFWriter(path, "llada")
    writer.add_vocab_size(shape.vocab_size)
    writer.add_context_length(1024)
    writer.add_embedding_length(shape.hidden_size)
    writer.add_block_count(shape.num_layers)
    writer.add_feed_forward_length(shape.intermediate_size)
    writer.add_head_count(shape.num_heads)
    writer.add_head_count_kv(shape.num_heads)
    writer.add_rope_dimension_count(shape.hidden_size // shape.num_heads)
    writer.add_rope_freq_base(5e5)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_causal_attention(False)
    writer.add_diffusion_shift_logits(False)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("default")
    numbers = range(len(LETTERS), shape.vocab_size)
    writer.add_token_list([*LETTERS, *(f"{number}," for number in numbers)])
    writer.add_token_types([gguf.TokenType.NORMAL] * shape.vocab_size)
    writer.add_token_merges(["0 0"])  # it needs one; prompts have no digits
    writer.add_mask_token_id(shape.mask_token_id)
    writer.add_add_bos_token(False)
    writer.add_chat_template("{{ messages[0].content }}")
    quantized = gguf.GGMLQuantizationType[kind]
    for name, weight in weights.items():
        if "q_proj" in name or "k_proj" in name:
            weight = interleaved(weight, shape.num_heads)
        of = quantized if weight.ndim == 2 else gguf.GGMLQuantizationType.F32
        writer.add_tensor(gguf_name(name), gguf.quants.quantize(weight.numpy(), of), raw_dtype=of)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
