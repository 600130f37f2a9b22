"""Options of refinements, which show the open block in a stream; a field of a request."""

from dataclasses import dataclass

from unmask.errors import InvalidRequest
from unmask.parameter import shown


@dataclass(frozen=True, slots=True)
class RefinementOptions:
    """Refinements of the open block in a stream: every `every`-th step, at most `max_fps` a second.

    With `tokens`, each refinement lists id, text, confidence and state of every position. Raises
    `InvalidRequest`.
    """

    every: int = 1
    max_fps: float | None = None
    tokens: bool = False

    def __post_init__(self) -> None:
        if self.every < 1:
            raise InvalidRequest(
                f"stream_refinements.every must be at least 1, got {shown(self.every)}",
                field="stream_refinements.every",
            )
        if self.max_fps is not None and self.max_fps <= 0:
            raise InvalidRequest(
                f"stream_refinements.max_fps must be greater than 0, got {self.max_fps}",
                field="stream_refinements.max_fps",
            )
