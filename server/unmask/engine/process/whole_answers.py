"""Answers that nobody reads before their end, sent in two pieces instead of one for each step."""

from unmask.types import Delta, Request


class WholeAnswers:
    """Holds back the deltas of requests that do not stream (vLLM: `FINAL_ONLY`).

    The first one passes, as it tells when the answer began; all others come as one at the end.
    Log-probabilities are many times the size of their tokens, so answers with them are not held.
    """

    def __init__(self) -> None:
        self._held: dict[str, list[Delta] | None] = {}  # by request id; None: none passed yet

    def expect(self, request: Request) -> None:
        """Note a request that begins."""
        if not request.streams and request.sampling.logprobs is None:
            self._held[request.request_id] = None

    def take(self, delta: Delta) -> Delta | None:
        """The delta to send now, if there is one."""
        name = delta.request_id
        if name not in self._held:
            return delta
        held = self._held[name]
        if delta.finish is not None:
            del self._held[name]
            return Delta.joined([*(held or ()), delta])
        if held is None:
            self._held[name] = []
            return delta
        held.append(delta)
        return None

    def clear(self) -> None:
        """Forget all requests, which have failed."""
        self._held.clear()
