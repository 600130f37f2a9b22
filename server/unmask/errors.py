"""Errors that cross a boundary; each maps to one HTTP status in `unmask.api.errors`."""


class UnmaskError(Exception):
    """Base of every error this package raises on purpose."""


class InvalidRequest(UnmaskError):
    """A value sent by a user is wrong; `field` names it as the user spelled it."""

    def __init__(self, message: str, *, field: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.field = field
        self.code = code


def context_exceeded(max_model_len: int, given: str, field: str) -> InvalidRequest:
    """The refusal of what the context cannot hold, in words that clients look for."""
    return InvalidRequest(
        f"This model's maximum context length is {max_model_len} tokens. However, {given}.",
        field=field,
        code="context_length_exceeded",
    )


class QueueFull(UnmaskError):
    """No more requests may wait; try again after `retry_after_s` seconds."""

    def __init__(self, message: str, *, retry_after_s: int) -> None:
        super().__init__(message)
        self.message = message
        self.retry_after_s = retry_after_s


class EngineStopped(UnmaskError):
    """The engine is shutting down, or died; the message says which."""


class EngineStarting(UnmaskError):
    """The model is still being loaded; the message says how far."""


class InvalidConfig(UnmaskError):
    """A configuration file, environment variable or flag is wrong."""


class InvalidCheckpoint(UnmaskError):
    """A checkpoint folder lacks what is needed to serve it, or contradicts itself."""
