"""BD3-LM (Arriola et al., 2025): MDLM's transformer with block-causal attention."""

from dataclasses import replace

from unmask.models import mdlm
from unmask.models.config_fields import ConfigFields
from unmask.models.family import Family, RawConfig, Traits

BLOCK_LENGTH = 4  # where neither the configuration nor the name has it

FIELDS = mdlm.FIELDS.joined(
    ConfigFields(
        read=frozenset(("block_size",)),
        harmless=frozenset(
            ("attn_backend", "sampling_eps_max", "sampling_eps_min", "var_min"),
        ),
        accepted={"adaln": (True,), "causal": (False,), "cross_attn": (True,)},
    )
)


def traits(raw: RawConfig) -> Traits:
    """MDLM's traits, with the trained block length."""
    length = raw.get("block_size") or BLOCK_LENGTH
    return replace(mdlm.traits(raw), attention="block_causal", block_length=length)


FAMILY = Family(
    "bd3lm",
    ("BD3LM",),
    traits,
    mdlm.build,
    FIELDS,
    verified=mdlm.FAMILY.verified,
    model_types=("bd3lm",),
    block_field="block_size",
)
