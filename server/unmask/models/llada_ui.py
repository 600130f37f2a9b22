"""LLaDA-UI: LLaDA2.0 mini with Qwen2.5-VL's vision tower, an agent of screens (2609.13287, 2026).

Rows of images have positions one after the other, as those of text: the authors' model and server
read its sections of RoPE (M-RoPE), and turn queries and keys by the plain index all the same.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from unmask.models import llada2
from unmask.models.config_fields import ConfigFields
from unmask.models.config_values import without_nulls
from unmask.models.decoder import Decoder
from unmask.models.family import Family, RawConfig, Traits
from unmask.models.rope import SECTION_FIELDS, SECTIONS, plain_kind
from unmask.models.vision.qwen_traits import TOKEN, read_unit_traits
from unmask.models.vision.qwen_weights import take_qwen_tower
from unmask.models.vision.vision_config import NAME as VISION
from unmask.models.weights import Weights

TEXT, ROOT, HEAD = "text_config", "model.language_model.", "lm_head.weight"
ROPES = "rope_parameters", "rope_scaling"
END_OF_TURN = "<|role_end|>"
FIELDS = ConfigFields(
    read=frozenset((TOKEN, VISION)),
    # Videos are not supported; the class ties nothing, whatever is said beside its text model.
    harmless=frozenset(
        (
            *("is_composition", "tie_word_embeddings", "video_token_id", "vision_end_token_id"),
            "vision_start_token_id",
        )
    ),
    nested={TEXT: llada2.FIELDS.joined(ConfigFields(nested=dict.fromkeys(ROPES, SECTION_FIELDS)))},
)
# That of the authors' server, with thoughts where their clients leave them in the content. The
# checkpoint's own begins with a turn that their code says was never trained.
CHAT_TEMPLATE = """\
{%- for turn in messages -%}
{%- if turn['role'] == 'system' and loop.first -%}
{{ '<role>SYSTEM</role>' }}
{%- elif turn['role'] == 'user' -%}
{{ '<role>HUMAN</role>' }}
{%- elif turn['role'] == 'assistant' -%}
{{ '<role>ASSISTANT</role>' }}
{%- if turn['reasoning_content'] -%}
{{ '<think>' + turn['reasoning_content'] + '</think>\\n' }}
{%- endif -%}
{%- else -%}
{{ raise_exception('behind a system message, roles are user and assistant') }}
{%- endif -%}
{%- if turn['content'] is string -%}
{{ turn['content'] }}
{%- else -%}
{%- for part in turn['content'] -%}
{{ part['text'] if part['type'] == 'text' else '<|vision_start|><|image_pad|><|vision_end|>' }}
{%- endfor -%}
{%- endif -%}
{{ '\\n' if turn['role'] == 'system' else '<|role_end|>' }}
{%- endfor -%}
{%- if add_generation_prompt -%}
{{ '<role>ASSISTANT</role>' }}
{%- endif -%}
"""


def traits(raw: RawConfig) -> Traits:
    """LLaDA2.0's, of the text model; a turn's end ends an answer, as the end of a text does."""
    of_text = llada2.traits(raw.get(TEXT) or {})
    return replace(of_text, can_edit=False, can_mix=False, end_tokens=(END_OF_TURN,))


def build(raw: RawConfig, weights: Weights, num_positions: int) -> Decoder:
    """LLaDA2.0's decoder with a vision tower; raises `InvalidCheckpoint`."""
    text: RawConfig = {"tie_word_embeddings": False} | without_nulls(raw[TEXT])
    text |= {name: _plain(text[name]) for name in ROPES if name in text}
    vision = take_qwen_tower(raw, weights)
    # In the authors' model the head is beside the text model; their server takes either name.
    head = f"model.{HEAD}" if weights.has(f"model.{HEAD}") else HEAD
    decoder = llada2.build(text, weights, num_positions, root=ROOT, head=head)
    decoder.vision = vision
    return decoder


def _plain(rope: Mapping[str, Any]) -> RawConfig:
    """Fields of RoPE without its sections, by which its type may be called."""
    return {name: value for name, value in plain_kind(rope).items() if name != SECTIONS}


FAMILY = Family(
    "llada-ui",
    ("LLaDA2MoE_VLForConditionalGeneration",),
    traits,
    build,
    FIELDS,
    verified="rows of images to 1e-4, of transformers' Qwen2.5-VL, and tokens exactly, of a port "
    "of the authors' loop over them and a second implementation of LLaDA2, on a tiny random "
    "checkpoint",
    model_types=("llada2vl",),
    images=read_unit_traits,
    chat_template=CHAT_TEMPLATE,
)
