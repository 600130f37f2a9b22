"""Door of the endpoints that generate: limits of clients, and room in the queue."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from unmask.api.clients import Client
from unmask.api.deadline import Deadline
from unmask.api.limits import Allowance
from unmask.api.service_rate import ServiceRate
from unmask.errors import InvalidRequest, QueueFull, RateLimited
from unmask.metrics import Metrics
from unmask.types import EngineStatus
from unmask.usage import NO_LIMITS, ClientLimits, Use

KEPT_PART = 16  # of the queue, kept for clients that have few choices in it
FEW_PART = 4  # of what is kept, for one client
SWEEP_S = 60.0


@dataclass(slots=True)
class _Account:
    """One client's open requests and their choices, and what is left of its minute."""

    limits: ClientLimits = NO_LIMITS
    requests: Allowance | None = None
    tokens: Allowance | None = None
    num_open: int = 0
    num_choices: int = 0

    def allow(self, limits: ClientLimits, now_s: float) -> None:
        """Give a full minute's allowances of new limits."""
        self.limits = limits
        self.requests = _allowance(limits.requests_per_minute, now_s)
        self.tokens = _allowance(limits.tokens_per_minute, now_s)

    def is_idle(self, now_s: float) -> bool:
        """True if forgetting it changes nothing."""
        allowances = [a for a in (self.requests, self.tokens) if a is not None]
        return not self.num_open and all(a.is_full(now_s) for a in allowances)


class Gate:
    """Counts each client's requests, and refuses those over its limits and those without room.

    A choice counts as a request of the queue. The last part of the queue is kept for clients that
    have few choices there, so no client alone can fill it for all others. Runs on one event loop;
    `tell` hears of the use of clients with limits, `take` is for what other processes tell.
    """

    def __init__(
        self,
        status: Callable[[], EngineStatus],
        metrics: Metrics,
        timeout_s: float | None = None,
        now: Callable[[], float] = time.monotonic,
        tell: Callable[[Use], None] | None = None,
    ) -> None:
        self.now, self.metrics = now, metrics
        self._status, self._timeout_s, self._tell = status, timeout_s, tell
        self._accounts: dict[str, _Account] = {}
        self._num_arriving = 0  # choices that are accepted, but not submitted yet
        self._rate = ServiceRate()
        self._swept_s = now()

    def enter(self, client: Client) -> "Visit":
        """Count a request; raises `RateLimited`."""
        try:
            return self._enter(client)
        except RateLimited as error:
            self._count_limited(client, error)
            raise

    def _enter(self, client: Client) -> "Visit":
        now_s, limits = self.now(), client.limits
        self._sweep(now_s)
        account = self._account(client.name, limits, now_s)
        if limits.max_concurrent is not None and account.num_open >= limits.max_concurrent:
            raise RateLimited(
                f"{account.num_open} requests of this client are open, "
                f"at most {limits.max_concurrent} may be",
                kind="requests",
                retry_after_s=self._rate.retry_after_s(1, now_s),
            )
        _check("requests", account.requests, limits.requests_per_minute, now_s)
        _check("tokens", account.tokens, limits.tokens_per_minute, now_s)
        if account.requests is not None:
            account.requests.take(1, now_s)
        account.num_open += 1
        self._share(client, num_open=1, num_requests=1)
        return Visit(self, client, account, self._timeout_s)

    def take(self, use: Use) -> None:
        """Count what a client uses in another process."""
        now_s = self.now()
        self._sweep(now_s)
        account = self._accounts.get(use.client)
        if account is None or use.num_open > 0:  # one that ends has the limits of its beginning
            account = self._account(use.client, use.limits, now_s)
        account.num_open += use.num_open
        account.num_choices += use.num_choices
        for allowance, num in (
            (account.requests, use.num_requests),
            (account.tokens, use.num_tokens),
        ):
            if allowance is not None and num:
                allowance.take(num, now_s)

    def reserve(self, client: Client, account: _Account, num: int, field: str) -> None:
        """Count choices, all or none.

        Raises `QueueFull` and `RateLimited`, and `InvalidRequest` for more than could ever wait.
        """
        status, now_s, limits = self._status(), self.now(), client.limits
        most = status.max_queue
        for limit, name in (
            (most, "engine.max_queue"),
            (limits.max_queue, "server.max_queue_per_client"),
        ):
            if limit is not None and num > limit:
                raise InvalidRequest(
                    f"the request has {num} choices, but at most {limit} may wait ({name})",
                    field=field,
                )
        try:
            self._check_choices(account, limits, num, now_s)
        except RateLimited as error:
            self._count_limited(client, error)
            raise
        own = account.num_choices + num
        num_waiting = status.num_waiting + self._num_arriving
        if most is not None:
            kept = most // KEPT_PART
            room = most if own <= kept // FEW_PART else most - kept
            if num_waiting + num > max(room, num):
                raise QueueFull(
                    f"{num_waiting} requests are waiting already",
                    retry_after_s=self._rate.retry_after_s(num_waiting, now_s),
                )
        account.num_choices = own
        self._num_arriving += num
        self._share(client, num_choices=num)

    def _check_choices(
        self, account: _Account, limits: ClientLimits, num: int, now_s: float
    ) -> None:
        if limits.max_queue is not None and account.num_choices + num > limits.max_queue:
            raise RateLimited(
                f"{account.num_choices} choices of this client run or wait, "
                f"at most {limits.max_queue} may",
                kind="requests",
                retry_after_s=self._rate.retry_after_s(num, now_s),
            )

    def _count_limited(self, client: Client, error: RateLimited) -> None:
        """Count a refusal of a client, by its key and the kind of limit."""
        self.metrics.limited.labels(client.key, error.kind).inc()

    def submitted(self, num: int) -> None:
        """Note that choices are in the engine's queue, or will never be."""
        self._num_arriving -= num

    def left(self, client: Client, account: _Account, num_choices: int, num_tokens: int) -> None:
        """Note the end of a request; its choices have been served if it has tokens."""
        now_s = self.now()
        account.num_open -= 1
        account.num_choices -= num_choices
        if account.tokens is not None:
            account.tokens.take(num_tokens, now_s)
        self._share(client, num_open=-1, num_choices=-num_choices, num_tokens=num_tokens)
        if num_tokens:
            self.metrics.key_tokens.labels(client.key).inc(num_tokens)
            self._rate.note(now_s, num_choices)

    def _account(self, name: str, limits: ClientLimits, now_s: float) -> _Account:
        account = self._accounts.get(name)
        if account is None:
            account = self._accounts[name] = _Account()
        # It is new, or the file of its key has changed.
        if account.limits is not limits and account.limits != limits:
            account.allow(limits, now_s)
        return account

    def _share(self, client: Client, **change: int) -> None:
        """Tell other processes of a change, if it can matter there."""
        if self._tell is not None and client.limits != NO_LIMITS:
            self._tell(Use(client.name, client.limits, **change))

    def _sweep(self, now_s: float) -> None:
        """Forget idle clients, now and then."""
        if now_s - self._swept_s < SWEEP_S:
            return
        self._swept_s = now_s
        for name in [n for n, account in self._accounts.items() if account.is_idle(now_s)]:
            del self._accounts[name]


class Visit:
    """One HTTP request that was let in, until it leaves: its client, choices and deadline."""

    def __init__(
        self, gate: Gate, client: Client, account: _Account, timeout_s: float | None
    ) -> None:
        self.client = client
        self.deadline = Deadline(gate.metrics.timed_out.inc)
        self.deadline.limit(timeout_s)
        self._gate, self._account = gate, account
        self._num_choices = self._num_arriving = self._num_prompt_tokens = 0
        self._is_open = True

    def reserve(self, num_choices: int, field: str) -> None:
        """Count the choices of the request, all or none; see `Gate.reserve`."""
        self._gate.reserve(self.client, self._account, num_choices, field)
        self._num_choices = self._num_arriving = num_choices

    def submitted(self, num_prompt_tokens: int) -> None:
        """Note that every choice was submitted."""
        self._gate.submitted(self._num_arriving)
        self._num_arriving, self._num_prompt_tokens = 0, num_prompt_tokens

    def __del__(self) -> None:
        self.leave()  # of an answer that was never begun

    def leave(self, num_tokens: int = 0) -> None:
        """Give back all that is counted, once; `num_tokens` were generated."""
        if not self._is_open:
            return
        self._is_open = False
        self._gate.submitted(self._num_arriving)
        num_tokens += self._num_prompt_tokens
        self._gate.left(self.client, self._account, self._num_choices, num_tokens)


def _check(
    kind: Literal["requests", "tokens"],
    allowance: Allowance | None,
    limit: int | None,
    now_s: float,
) -> None:
    """Raise `RateLimited` if nothing of an allowance is left."""
    wait_s = 0 if allowance is None else allowance.wait_s(now_s)
    if wait_s:
        raise RateLimited(
            f"the limit of {limit} {kind} per minute is reached; try again in {wait_s} s",
            kind=kind,
            retry_after_s=wait_s,
        )


def _allowance(per_minute: int | None, now_s: float) -> Allowance | None:
    return None if per_minute is None else Allowance(per_minute, now_s)
