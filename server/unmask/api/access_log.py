"""Access log: one line for each HTTP request that has ended."""

import logging
from collections.abc import Mapping
from urllib.parse import quote

from starlette.types import Scope

from unmask.api.request_record import RequestRecord

access_logger = logging.getLogger("unmask.access")


def log_access(scope: Scope, status: int | None, elapsed_s: float, record: RequestRecord) -> None:
    """Log a line, whose facts are also the fields of a line in JSON.

    Paths are quoted, so that no client can forge another line. Its id of the request is last, so
    that it cannot forge other facts.
    """
    caller = scope.get("client")
    client, method, path = caller[0] if caller else "-", scope["method"], quote(scope["path"])
    head = f"{client} {method} {path}: {'no answer' if status is None else status}"
    parts = [f"{head} in {elapsed_s * 1e3:.1f} ms"]
    if record.key_name is not None:
        parts.append(f"key {record.key_name}")
    fields: dict[str, object] = {
        "client": client,
        "method": method,
        "path": path,
        "status": status,
        "duration_s": round(elapsed_s, 6),
        "key": record.key_name,
    }
    if record.answer_id is not None:
        parts += _described(record)
        fields |= _answer(record)
    if record.failure_code is not None:
        parts.append(f"failed: {record.failure_code}")
        fields["error"] = record.failure_code
    parts.append(f"request {record.request_id}")
    access_logger.info("%s", ", ".join(parts), extra={"fields": _known(fields)})


def _described(record: RequestRecord) -> list[str]:
    """The answer in words."""
    parts = [
        f"answer {record.answer_id}",
        f"{record.num_prompt_tokens} prompt tokens",
        f"{record.num_tokens} tokens",
    ]
    if record.tokens_per_forward is not None:
        parts.append(f"{record.tokens_per_forward:.2f} tokens a step")
    if record.queue_s is not None:
        parts.append(f"queued {record.queue_s * 1e3:.1f} ms")
    if record.first_token_s is not None:
        parts.append(f"first token after {(record.first_token_s - record.received_s) * 1e3:.1f} ms")
    return [*parts, "/".join(record.reasons)] if record.reasons else parts


def _answer(record: RequestRecord) -> Mapping[str, object]:
    """The answer's fields."""
    first_s = record.first_token_s
    return {
        "answer_id": record.answer_id,
        "model": record.model_name,
        "prompt_tokens": record.num_prompt_tokens,
        "cached_tokens": record.num_cached_tokens,
        "completion_tokens": record.num_tokens,
        "denoising_steps": record.num_steps,
        "tokens_per_forward": _rounded(record.tokens_per_forward, 3),
        "queue_s": _rounded(record.queue_s),
        "first_token_s": _rounded(None if first_s is None else first_s - record.received_s),
        "finish_reasons": record.reasons,
    }


def _rounded(value: float | None, digits: int = 6) -> float | None:
    return None if value is None else round(value, digits)


def _known(fields: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in fields.items() if value is not None}
