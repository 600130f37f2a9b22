"""Refusals of sampling parameters that LLaDA2.2 does not have; none of them is per step."""

from unmask.errors import InvalidRequest
from unmask.types import AUTO, BlockLength, CacheName, PolicyName, SamplingParams

NEEDING_POSITIONS = (
    *("sub_block_length", "eos_last", "logit_bias", "allowed_token_ids"),
    *("presence_penalty", "frequency_penalty", "repetition_penalty", "min_tokens"),
)
WAY_OUT = "the preset plain serves this model without editing"


def check_whole_blocks(
    block_length: BlockLength | None, cache: CacheName | None, routing_length: int
) -> None:
    """Raise `InvalidRequest` for steps without all rows of a routing block."""
    if block_length is not None and (block_length == AUTO or block_length % routing_length):
        raise InvalidRequest(
            f"block_length must be a multiple of {routing_length}, the block in which this model "
            f"chooses experts, got {block_length}",
            field="block_length",
        )
    if cache == "block":
        raise InvalidRequest(
            f"cache block leaves rows out, but this model chooses experts by all {routing_length} "
            "of a block",
            field="cache",
        )


def check_edits(sampling: SamplingParams, policy: PolicyName) -> None:
    """Raise `InvalidRequest` for parameters that tokens cannot be deleted and inserted with."""
    if policy != "threshold":
        # A policy that is not named follows from its number.
        field = policy if sampling.policy is None and hasattr(sampling, policy) else "policy"
        raise InvalidRequest(
            f"policy must be threshold where tokens are deleted and inserted, got {policy}; "
            f"{WAY_OUT}",
            field=field,
        )
    if sampling.temperature:
        raise InvalidRequest(
            f"temperature must be 0 where tokens are deleted and inserted, got "
            f"{sampling.temperature}; {WAY_OUT}",
            field="temperature",
        )
    for name in NEEDING_POSITIONS:
        if sampling.asks_for(name):
            raise InvalidRequest(
                f"{name} has no meaning where tokens are deleted and inserted; {WAY_OUT}",
                field=name,
            )
