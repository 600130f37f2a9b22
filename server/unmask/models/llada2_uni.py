"""LLaDA2.0-Uni: LLaDA2.0 with the tokens of images behind those of text (Bie et al., 2026).

Answers are text. Images are read by a tokenizer of their own, see `vision.image_tokenizer`.
"""

from dataclasses import replace

from unmask.models import llada2
from unmask.models.decoder import Decoder
from unmask.models.family import Family, RawConfig, Traits
from unmask.models.vision.image_tokenizer_traits import OFFSET, read_patch_traits
from unmask.models.vision.image_tokenizer_weights import take_image_tokenizer
from unmask.models.weights import Weights

NOT_ITS_OWN = frozenset(("delete_token_id", "expert_capacity", "split_token_id"))  # LLaDA2.2's
FIELDS = replace(
    llada2.FIELDS,
    read=llada2.FIELDS.read - NOT_ITS_OWN | {OFFSET},
    accepted={**llada2.FIELDS.accepted, "use_fp8_experts": (False,)},
)
# As `_build_chat` of the authors' code writes a turn: without the token that ends one in the
# template of LLaDA2.0, which is beside the weights. Images are before the text of their turn.
CHAT_TEMPLATE = """\
{%- set told = messages[0]['role'] == 'system' -%}
{%- set system = messages[0]['content'] if told else \
'You are a multimodal understanding assistant.' -%}
{%- set turns = messages[1:] if told else messages -%}
{{ '<role>SYSTEM</role> ' + system + ' ' }}
{%- for turn in turns -%}
{%- if turn['role'] == 'user' -%}
{{ '<role>HUMAN</role>' }}
{%- elif turn['role'] == 'assistant' -%}
{{ '<role>ASSISTANT</role>' }}
{%- else -%}
{{ raise_exception('behind a system message, roles are user and assistant') }}
{%- endif -%}
{%- if turn['content'] is string -%}
{{ turn['content'] }}
{%- else -%}
{{ '<|image|>' * (turn['content'] | selectattr('type', 'equalto', 'image') | list | length) }}
{{- turn['content'] | selectattr('type', 'equalto', 'text') | map(attribute='text') | join('\\n') }}
{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}
{{ '<role>ASSISTANT</role>' }}
{%- endif -%}
"""


def is_own(raw: RawConfig) -> bool:
    """True for a vocabulary with tokens of images."""
    return raw.get(OFFSET) is not None


def traits(raw: RawConfig) -> Traits:
    """LLaDA2.0's, of the tokens of text."""
    return replace(llada2.traits(raw), can_edit=False, can_mix=False, vocab_size=raw.get(OFFSET))


def build(raw: RawConfig, weights: Weights, num_positions: int) -> Decoder:
    """LLaDA2.0's decoder with a tokenizer of images, if it is there; raises `InvalidCheckpoint`."""
    decoder = llada2.build(raw, weights, num_positions)
    decoder.vision = take_image_tokenizer(raw, decoder.embedding, weights)
    return decoder


FAMILY = Family(
    "llada2-uni",
    ("LLaDA2MoeModelLM",),
    traits,
    build,
    FIELDS,
    verified="tokens of images exactly, of transformers' GLM-Image, whose tokenizer of images it "
    "has, and logits to 1e-4, of a second implementation of LLaDA2, on tiny random checkpoints",
    block_field="block_size",
    is_own=is_own,
    images=read_patch_traits,
    chat_template=CHAT_TEMPLATE,
)
