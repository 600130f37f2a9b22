"""Tiny checkpoints with the published files; only sizes in config.json are smaller.

`tests/published` has config.json and generation_config.json of each. Token ids are the published
ones, so vocabularies have their full length, except DiffusionGemma's, whose text ids are small.
Not confirmed, as no copy of the file was available:
- Dream: config.json is from its configuration class and from ports; `use_cache` is a guess.
- SDAR-8B: config.json is Qwen3-8B's with SDAR's fields, generation_config.json is its family's;
  `max_position_embeddings` and the fields of training may differ.
- LLaDA2.0-mini: config.json is from the authors' training code with the published context; no
  generation_config.json is written. Its end of a turn, `<|role_end|>`, therefore ends no answer;
  the tokenizer's `<|endoftext|>` does.
- LLaDA2.2-mini: config.json is LLaDA2.0-mini's with the fields that ports of it name, and
  generation_config.json has the two ends that they name.
- I-DLM-8B: config.json is Qwen3-8B's with the fields of the authors' training configuration; no
  generation_config.json is written.
- Nemotron-Labs-Diffusion-8B: config.json has the names of the published one and its sizes and token
  ids; generation_config.json has the two ids that are known of it.
- Fast-dLLM v2: config.json is Qwen2.5-7B-Instruct's with its own fields, as its authors describe
  it; generation_config.json is Qwen2.5's.
- WeDLM-8B: config.json is a quantized copy's, without the quantization; the numbers of heads, the
  vocabulary and what follows are Qwen3-8B's; added tokens are Qwen2.5's, as many as the authors'
  engine counts before its mask; no generation_config.json is written.
- SDAR-VL-8B: files are of the authors' repository, whose processor_config.json is the smaller
  model's; there is no tiny checkpoint of it here, but `tests/golden/sdar_vl`.
- Chat templates are shortened to one question, vocabulary texts are made up, and all added tokens
  are special.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

from tests.support.checkpoints import draw_weights
from tests.support.dream_files import join_files, write_tokenizer
from tests.support.moe_reference import llada2_shapes
from tests.support.plain import LLADA, draw_tensors, renamed
from tests.support.tiny import GOLDEN
from tests.support.tokenizers_of_kinds import SPECIALS, WORDS, byte_fallback

PUBLISHED = Path(__file__).parent.parent / "published"
Raw = dict[str, Any]
Weights = dict[str, torch.Tensor]

QWEN_END = 151643
QWEN25_ADDED = (
    *("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|object_ref_start|>", "<|object_ref_end|>"),
    *("<|box_start|>", "<|box_end|>", "<|quad_start|>", "<|quad_end|>", "<|vision_start|>"),
    *("<|vision_end|>", "<|vision_pad|>", "<|image_pad|>", "<|video_pad|>", "<tool_call>"),
    *("</tool_call>", "<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>", "<|fim_pad|>"),
    *("<|repo_name|>", "<|file_sep|>"),
)
QWEN3_ADDED = (*QWEN25_ADDED, "<tool_response>", "</tool_response>", "<think>", "</think>")
LLADA_TEMPLATE = (
    "{% for m in messages %}{% set content = '<|start_header_id|>' + m['role'] + "
    "'<|end_header_id|>\n\n' + m['content'] | trim + '<|eot_id|>' %}"
    "{% if loop.index0 == 0 %}{% set content = bos_token + content %}{% endif %}{{ content }}"
    "{% endfor %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}"
)
NEMOTRON_TEMPLATE = (
    "<s>{% for m in messages %}<SPECIAL_10>{{ m.role }}\n{{ m.content }}<SPECIAL_11>\n{% endfor %}"
    "{% if add_generation_prompt %}<SPECIAL_10>assistant\n{% endif %}"
)
LLADA2_TEMPLATE = (
    "<role>SYSTEM</role>detailed thinking off<|role_end|>"
    "{% for m in messages %}<role>{{ 'HUMAN' if m.role == 'user' else 'ASSISTANT' }}</role>"
    "{{ m.content }}<|role_end|>{% endfor %}"
    "{% if add_generation_prompt %}<role>ASSISTANT</role>{% endif %}"
)
GEMMA_TEMPLATE = (
    "<bos>{% for m in messages %}<|turn>{{ m.role }}\n{{ m.content }}<turn|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|turn>model\n{% endif %}"
)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Smaller sizes for a published config.json, their weights, and tokenizer files."""

    sizes: Raw
    draw: Callable[[Raw], Weights]
    write_tokenizer: Callable[[Path], None]


def write_published(stem: str, folder: Path) -> Raw:
    """Write the tiny checkpoint of a file of `tests/published`; returns its config.json."""
    published = json.loads((PUBLISHED / f"{stem}.json").read_text())
    checkpoint = CHECKPOINTS[stem]
    config = _resized(published["config"], checkpoint.sizes)
    (folder / "config.json").write_text(json.dumps(config))
    if (generation := published["generation_config"]) is not None:
        (folder / "generation_config.json").write_text(json.dumps(generation))
    save_file(checkpoint.draw(config), folder / "model.safetensors")
    checkpoint.write_tokenizer(folder)
    return config


def _resized(config: Raw, sizes: Raw) -> Raw:
    """Fields with other sizes, nested ones too."""
    assert sizes.keys() <= config.keys()
    return config | {
        name: _resized(config[name], size) if isinstance(size, dict) else size
        for name, size in sizes.items()
    }


def _names(first: int, named: dict[int, str], end: int) -> tuple[str, ...]:
    """Texts of the ids [first, end), some of them named."""
    return tuple(named.get(i, f"<|reserved_{i}|>") for i in range(first, end))


def _qwen(config: Raw, **more: bool) -> Weights:
    return draw_tensors(
        vocab=config["vocab_size"],
        width=config["hidden_size"],
        inner=config["intermediate_size"],
        layers=config["num_hidden_layers"],
        heads=config["num_attention_heads"],
        kv_heads=config["num_key_value_heads"],
        **more,
    )


def _llada(config: Raw) -> Weights:
    drawn = draw_tensors(
        vocab=config["embedding_size"],
        width=config["d_model"],
        inner=config["mlp_hidden_size"],
        layers=config["n_layers"],
        heads=config["n_heads"],
        kv_heads=config["n_kv_heads"],
    )
    return renamed(drawn, LLADA)


def _gemma(_config: Raw) -> Weights:
    """Tensors of transformers' class, with the vision tower."""
    return load_file(GOLDEN / "dgemma" / "model.safetensors")


def _dream_files(folder: Path) -> None:
    added = (*QWEN25_ADDED, "<|beginoftext|>", "<|mask|>")
    write_tokenizer(folder, num_merged=QWEN_END, added=added)


def _sdar_files(folder: Path) -> None:
    write_tokenizer(
        folder,
        num_merged=QWEN_END,
        added=(*QWEN3_ADDED, "<|MASK|>"),
        tokenizer_class="Qwen2Tokenizer",
        auto_map={"AutoTokenizer": ["tokenization_qwen2.Qwen2Tokenizer", None]},
        eos_token="<|endoftext|>",
        bos_token=None,
        mask_token="<|MASK|>",
    )


def _fast_dllm_files(folder: Path) -> None:
    write_tokenizer(
        folder,
        num_merged=QWEN_END,
        added=(*QWEN25_ADDED, "|<MASK>|"),
        tokenizer_class="Qwen2Tokenizer",
        auto_map=None,
        eos_token="<|im_end|>",
        bos_token=None,
        mask_token=None,
    )
    join_files(folder)


def _wedlm_files(folder: Path) -> None:
    """Tokens of every id before the mask, which has no text."""
    write_tokenizer(
        folder,
        num_merged=QWEN_END,
        added=QWEN25_ADDED,
        tokenizer_class="Qwen2Tokenizer",
        auto_map=None,
        eos_token="<|im_end|>",
        bos_token=None,
        mask_token=None,
    )
    join_files(folder)


def _startoftext_files(
    folder: Path, num_merged: int, added: tuple[str, ...], template: str
) -> None:
    """tokenizer.json without a mask token, with texts that begin with `<|startoftext|>`."""
    write_tokenizer(
        folder,
        num_merged=num_merged,
        added=added,
        tokenizer_class="PreTrainedTokenizerFast",
        auto_map=None,
        bos_token="<|startoftext|>",
        mask_token=None,
        chat_template=template,
    )
    join_files(folder)


def _llada_files(folder: Path) -> None:
    named = {126080: "<|startoftext|>", 126081: "<|endoftext|>", 126336: "<|mdm_mask|>"}
    named |= {126346: "<|start_header_id|>", 126347: "<|end_header_id|>", 126348: "<|eot_id|>"}
    _startoftext_files(folder, 126080, _names(126080, named, 126349), LLADA_TEMPLATE)


def _llada2_files(folder: Path) -> None:
    named = {156891: "<|startoftext|>", 156892: "<|endoftext|>", 156895: "<|mask|>"}
    named |= {156898: "<role>", 156899: "</role>", 156900: "<|role_end|>"}
    _startoftext_files(folder, 156891, _names(156891, named, 156901), LLADA2_TEMPLATE)


def _gemma_files(folder: Path) -> None:
    named = {0: "<pad>", 1: "<eos>", 2: "<bos>", 3: "<unk>", 4: "<mask>", 50: "<|tool_response>"}
    named |= {i: text for i, text in enumerate(SPECIALS, 5) if text not in named.values()}
    named |= {105: "<|turn>", 106: "<turn|>"}
    first = _names(0, named, 107)
    num_more = 512 - len(first) - 256 - len(WORDS)
    more = tuple(f"▁word{i}" for i in range(num_more))
    tokenizer = byte_fallback(first=first, more=more, template=GEMMA_TEMPLATE)
    tokenizer.add_tokens(["<|tool_response>", "<|turn>", "<turn|>"], special_tokens=True)
    tokenizer.save_pretrained(folder)


def _nemotron(config: Raw) -> Weights:
    return renamed(_qwen(config), {"model.": "encoder.", "lm_head.": "diffusion_head."})


def _nemotron_files(folder: Path) -> None:
    named = {1: "<s>", 2: "</s>", 11: "<SPECIAL_11>", 12: "<think>", 13: "</think>"}
    special = [named.get(i, f"<SPECIAL_{i}>") for i in range(1000)]
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    texts = [*special, *alphabet]
    texts += [f"unused{i}" for i in range(len(texts), 131_072)]
    tokenizer = Tokenizer(models.BPE({text: i for i, text in enumerate(texts)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(text, normalized=False) for text in special])
    tokenizer.save(str(folder / "tokenizer.json"))
    fields = {"bos_token": "<s>", "eos_token": "<SPECIAL_11>", "chat_template": NEMOTRON_TEMPLATE}
    (folder / "tokenizer_config.json").write_text(json.dumps(fields))


QWEN_SIZES: Raw = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_attention_heads": 4,
    "num_hidden_layers": 2,
    "num_key_value_heads": 2,
}
CHECKPOINTS = {
    "dream-7b": Checkpoint(QWEN_SIZES, lambda raw: _qwen(raw, bias=True), _dream_files),
    "sdar-8b": Checkpoint(
        QWEN_SIZES | {"head_dim": 8}, lambda raw: _qwen(raw, qk_norm=True), _sdar_files
    ),
    "idlm-8b": Checkpoint(
        QWEN_SIZES | {"head_dim": 8}, lambda raw: _qwen(raw, qk_norm=True), _sdar_files
    ),
    "nemotron-8b": Checkpoint(QWEN_SIZES | {"head_dim": 8}, _nemotron, _nemotron_files),
    "fast-dllm-v2-7b": Checkpoint(
        QWEN_SIZES | {"layer_types": ["full_attention"] * 2},
        lambda raw: _qwen(raw, bias=True),
        _fast_dllm_files,
    ),
    "wedlm-8b": Checkpoint(
        QWEN_SIZES | {"head_dim": 8, "layer_types": ["full_attention"] * 2},
        lambda raw: _qwen(raw, qk_norm=True),
        _wedlm_files,
    ),
    "llada-8b": Checkpoint(
        {"d_model": 32, "mlp_hidden_size": 48, "n_heads": 4, "n_kv_heads": 4, "n_layers": 2},
        _llada,
        _llada_files,
    ),
    "llada2-mini": Checkpoint(
        QWEN_SIZES
        | {"head_dim": 16, "rotary_dim": 8, "moe_intermediate_size": 16, "num_experts": 16},
        lambda raw: draw_weights(llada2_shapes(raw)),
        _llada2_files,
    ),
    "llada22-mini": Checkpoint(
        QWEN_SIZES
        | {"head_dim": 16, "rotary_dim": 8, "moe_intermediate_size": 16}
        | {"num_experts": 16, "expert_capacity": 12},
        lambda raw: draw_weights(llada2_shapes(raw)),
        _llada2_files,
    ),
    "diffusion-gemma-26b": Checkpoint(
        {
            "text_config": {
                "global_head_dim": 32,
                "head_dim": 16,
                "hidden_size": 128,
                "intermediate_size": 384,
                "layer_types": ["sliding_attention", "sliding_attention", "full_attention"],
                "moe_intermediate_size": 32,
                "num_attention_heads": 4,
                "num_experts": 8,
                "num_global_key_value_heads": 1,
                "num_hidden_layers": 3,
                "num_key_value_heads": 2,
                "top_k_experts": 2,
                "vocab_size": 512,
            }
        },
        _gemma,
        _gemma_files,
    ),
}
