"""A whole answer: every choice gathered before anything is sent."""

from collections import defaultdict
from contextlib import aclosing
from typing import Any

from unmask.api.formats import Format
from unmask.api.job import Job
from unmask.api.streams import Merger
from unmask.api.usage import UsageTally
from unmask.types import Delta


async def gather(job: Job, merger: Merger, form: Format) -> dict[str, Any]:
    """The response's JSON object; raises `RequestFailed`."""
    tally = UsageTally(job)
    deltas: dict[int, list[Delta]] = defaultdict(list)
    async with aclosing(merger.batches()) as batches:
        async for batch in batches:
            for index, event in batch:
                if isinstance(event, Delta):
                    tally.add(index, event)
                    deltas[index].append(event)
    return {
        **head(job, form.whole),
        "choices": [form.answer(i, _joined(deltas[i])) for i in range(len(job.requests))],
        "usage": tally.total(),
        **form.extra(0),
    }


def head(job: Job, kind: str) -> dict[str, Any]:
    """What answers and chunks begin with."""
    return {"id": job.job_id, "object": kind, "created": job.created_s, "model": job.model_name}


def _joined(deltas: list[Delta]) -> Delta:
    return Delta(
        request_id=deltas[-1].request_id,
        token_ids=tuple(token_id for delta in deltas for token_id in delta.token_ids),
        text="".join(delta.text for delta in deltas),
        logprobs=tuple(item for delta in deltas for item in delta.logprobs),
        finish=deltas[-1].finish,
    )
