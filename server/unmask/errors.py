"""Public exceptions; each maps to an HTTP status in `unmask.api.errors`."""

from typing import Literal


class UnmaskError(Exception):
    """Base class of this package's exceptions."""


class InvalidRequest(UnmaskError):
    """Invalid value of a request; `field` is its name in the request."""

    def __init__(self, message: str, *, field: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.field = field
        self.code = code


class TooSlow(InvalidRequest):
    """Request that takes longer to prepare than it may."""


def context_exceeded(max_model_len: int, detail: str, field: str) -> InvalidRequest:
    """Error for a request longer than the context, in OpenAI's wording, which clients parse."""
    return InvalidRequest(
        f"This model's maximum context length is {max_model_len} tokens. However, {detail}.",
        field=field,
        code="context_length_exceeded",
    )


class QueueFull(UnmaskError):
    """The queue has no room for a request; retry after `retry_after_s` seconds."""

    def __init__(self, message: str, *, retry_after_s: int) -> None:
        super().__init__(message)
        self.message = message
        self.retry_after_s = retry_after_s


class RateLimited(UnmaskError):
    """A client is over one of its limits, on `kind`; retry after `retry_after_s` seconds."""

    def __init__(
        self, message: str, *, kind: Literal["requests", "tokens"], retry_after_s: int
    ) -> None:
        super().__init__(message)
        self.message = message
        self.kind = kind
        self.retry_after_s = retry_after_s


class EngineStopped(UnmaskError):
    """The engine is shutting down or has failed; the message says which."""

    @classmethod
    def at_start(cls, error: BaseException) -> "EngineStopped":
        """The error of an engine that did not start because of another, in one line."""
        reason = f"{type(error).__name__}: {error} (server.log_level debug shows where)"
        return cls(f"the engine did not start: {reason}")


class EngineStarting(UnmaskError):
    """The model is being loaded; the message has the progress."""


class InvalidConfig(UnmaskError):
    """Invalid configuration file, environment variable or flag."""


class InvalidCheckpoint(UnmaskError):
    """Incomplete, inconsistent or unsupported checkpoint."""
