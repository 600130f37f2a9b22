"""I-DLM, UNO: SDAR's Qwen3 with causal attention and shifted logits (Yu et al., 2026)."""

import re

from unmask.models import sdar
from unmask.models.config_fields import ConfigFields
from unmask.models.family import Family, RawConfig, Traits

MASK_TOKEN_ID = 151669
NUM_MASKS = 3  # of I-DLM-8B and 32B
NAME = re.compile(r"(?<![a-z0-9])(uno|i-?dlm)(?![a-z0-9])", re.I)

# Told from SDAR by this field, or by `NAME` without it: the published class has it on by default,
# and SDAR's has none.
FIELDS = sdar.FIELDS.joined(ConfigFields(accepted={"use_regular_causal": (True,)}))


def traits(raw: RawConfig) -> Traits:
    """Causal attention, over masks too, in strides.

    A stride is the next token and as many guesses as there were masks a block in training, which
    is what `block_size` counts: 3 in the model that the authors call N = 4.
    """
    return Traits(
        "causal",
        mask_token_id=MASK_TOKEN_ID,
        block_length=1 + (raw.get("block_size") or NUM_MASKS),
        end_tokens=sdar.END_TOKENS,
    )


FAMILY = Family(
    "idlm",
    ("SDARForCausalLM",),
    traits,
    sdar.build,
    FIELDS,
    verified="logits to 1e-4, of transformers' Qwen3 on a tiny checkpoint, and tokens exactly, of "
    "a port of the authors' loop over it",
    model_types=("sdar",),
    block_field="block_size",
    named=NAME,
)
