"""Engine client, metrics, settings and worker threads, as every route gets them."""

import asyncio
import math
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

from unmask.api.body_budget import BodyBudget, ImageBudget
from unmask.api.gate import Gate
from unmask.client import EngineClient
from unmask.config import ServerConfig
from unmask.errors import QueueFull, TooSlow
from unmask.metrics import Metrics
from unmask.usage import Sharing

T = TypeVar("T")
Scrape = Callable[[], Awaitable[bytes]]

ITEM = 100  # the cost of a prompt, a message or a part, in characters
SHORT = 8_000  # characters; less runs on the event loop and blocks it for some 3 ms
LONG = 400_000  # characters; more runs on the thread for the longest work
QUICK_S = 0.25  # to compile a grammar
MAX_PENDING = 64  # calls that may wait for each thread but that of images
MAX_SENT_BYTES = 256 * 2**20  # of images that wait to be decoded
MAX_BODY_MIB, MAX_IMAGE_BODY_MIB = 4, 32  # unless set; a photo has up to 20 MB, in base64 27


class Workers:
    """Threads for long work and the longest, for grammars and slow ones: none waits for another.

    Images have one too, so that one of them is in memory as large as it was sent. Work is measured
    in characters, an item counting as `ITEM` of them. Threads start when needed.
    """

    def __init__(self) -> None:
        self._long = _Worker("prepare-long")
        self._longest = _Worker("prepare-longest")
        self._images = _Worker("prepare-images", math.inf)
        self._grammars = _Worker("prepare-grammars")
        self._slow_grammars = _Worker("prepare-slow-grammars")

    async def run(self, work: Callable[[], T], cost: int) -> T:
        """The result of `work`, on the event loop if it is short; raises `QueueFull`."""
        if cost <= SHORT:
            return work()
        return await (self._long if cost <= LONG else self._longest).run(work)

    async def read_image(self, work: Callable[[], T]) -> T:
        """The result of decoding an image, whose time its length does not tell."""
        return await self._images.run(work)

    async def compile(self, work: Callable[[float | None], T]) -> T:
        """The result of compiling a grammar within so many seconds; raises `QueueFull`.

        One that takes over `QUICK_S` begins anew where only others of its kind wait for it.
        """
        try:
            return await self._grammars.run(lambda: work(QUICK_S))
        except TooSlow:
            return await self._slow_grammars.run(lambda: work(None))


class _Worker:
    """One thread and the work that waits for it."""

    def __init__(self, name: str, max_pending: float = MAX_PENDING) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._max_pending, self._num_pending = max_pending, 0

    async def run(self, work: Callable[[], T]) -> T:
        if self._num_pending >= self._max_pending:
            raise QueueFull("too many requests are being prepared", retry_after_s=1)
        self._num_pending += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work)
        finally:
            self._num_pending -= 1


@dataclass(frozen=True, slots=True)
class Backend:
    """Everything that routes need besides the request."""

    client: EngineClient
    metrics: Metrics
    config: ServerConfig
    bodies: BodyBudget
    scrape: Scrape | None = None  # the metrics of all processes
    sharing: Sharing | None = None  # other processes, which have the same clients
    sent_images: BodyBudget = field(default_factory=lambda: BodyBudget(MAX_SENT_BYTES))
    images: ImageBudget = field(default_factory=ImageBudget)
    workers: Workers = field(default_factory=Workers)
    gate: Gate = field(init=False)

    def __post_init__(self) -> None:
        tell = None if self.sharing is None else self.sharing.tell
        gate = Gate(self.client.status, self.metrics, self.config.request_timeout_s, tell=tell)
        if self.sharing is not None:
            self.sharing.listen(gate.take)
        object.__setattr__(self, "gate", gate)

    @property
    def max_body_bytes(self) -> int:
        """Bytes of the longest body: as set, or of photos where the model takes images.

        Raises `EngineStarting` where the model decides and is not loaded yet.
        """
        most = self.config.max_body_mib
        if most is None:
            usual = MAX_BODY_MIB if self.client.model.images is None else MAX_IMAGE_BODY_MIB
            most = min(usual, self.config.max_bodies_mib)
        return most * 2**20
