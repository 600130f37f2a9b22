"""Recorded answers of d3LLM's authors' code, and requests that ask for them."""

import json
from dataclasses import replace
from functools import cache
from typing import Any

from tests.support.tiny import GOLDEN
from unmask.models.registry import LoadedModel
from unmask.types import SamplingParams

NUM_TOKENS = 64


@cache
def cases(folder: str) -> list[dict[str, Any]]:
    """Answers of the authors' code; see `tests/golden/make/d3llm.py`."""
    content: list[dict[str, Any]] = json.loads((GOLDEN / folder / "d3llm.json").read_text())
    return content


def params_of(case: dict[str, Any], **others: Any) -> SamplingParams:
    loop = case["settings"]
    if loop["cache_delay_iter"] is not None:
        names = "cache_delay_iter", "refresh_interval"
        others |= {"cache": "delayed"} | {name: loop[name] for name in names}
    return SamplingParams(
        max_tokens=NUM_TOKENS,
        temperature=0.0,
        ignore_eos=case["end"] is None,
        policy="entropy_threshold",
        entropy_threshold=loop["threshold"],
        block_length=loop["block_size"],
        open_blocks=16,
        add_block_threshold=loop["block_add_threshold"],
        **others,
    )


def ending_with(loaded: LoadedModel, token_id: int | None) -> LoadedModel:
    """The model with another end of sequence."""
    eos = () if token_id is None else (token_id,)
    return replace(loaded, info=replace(loaded.info, eos_token_ids=eos))
