"""What became of one request, as its client saw it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Record:
    """Times in seconds since the request was sent; `error` is the kind of failure, or None.

    `first_text_s` is the time to the first final text, `gaps_s` are the times between one chunk
    of text and the next. Without usage from the server, `num_tokens` counts chunks (`counted`).
    """

    latency_s: float
    first_text_s: float | None = None
    gaps_s: tuple[float, ...] = ()
    num_tokens: int = 0
    counted: bool = False
    num_prompt_tokens: int | None = None
    num_denoising_steps: int | None = None
    block_length: int | None = None
    finish_reason: str | None = None
    error: str | None = None
    detail: str = ""
