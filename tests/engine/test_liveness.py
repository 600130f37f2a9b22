"""Every request comes to its end beside any others, however long its passes are."""

from dataclasses import dataclass, replace
from itertools import count
from random import Random

import numpy as np
import pytest

from tests.support.simulation import MODEL, PAGE, Simulation
from unmask.engine.schedule.admission import resolve
from unmask.engine.schedule.limits import EngineLimits
from unmask.errors import InvalidRequest
from unmask.types import AttentionPattern, Request, SamplingParams

SIZES = EngineLimits(
    2048, 2000, PAGE, max_num_seqs=16, saturation_rows=32, rows_per_client=32, overlaps=False
)
WIDE = replace(MODEL, max_model_len=600)
NARROW = replace(SIZES, max_batch_tokens=64, saturation_rows=8, rows_per_client=8)


@dataclass(frozen=True)
class Kind:
    """Requests of one kind: their prompt, answer, block and client."""

    prompt: int
    max_tokens: int
    block: int
    client: str
    cache: str | None = None
    steps: int = 4

    def request(self, name: str, first: int = 0) -> Request:
        """A request of this kind, whose prompt begins with a token of its own."""
        params = SamplingParams(
            max_tokens=self.max_tokens,
            block_length=self.block,
            steps=self.steps,
            policy="low_confidence",
            ignore_eos=True,
            cache=self.cache,  # type: ignore[arg-type]
        )
        prompt = tuple((first + i) % 190 for i in range(self.prompt))
        return Request(name, prompt, params, client=self.client)


SMALL, OTHERS = Kind(3, 16, 8, "a"), Kind(3, 16, 8, "b")
# What must end, beside which others: as many of these wait at any time as there are kinds of them.
CASES: dict[str, tuple[AttentionPattern, EngineLimits, Kind, tuple[Kind, ...]]] = {
    "a long block beside another client's small ones": (
        *("block_causal", SIZES),
        *(Kind(3, 256, 128, "b"), (SMALL,)),
    ),
    "a long block beside small ones of its own and of another client": (
        *("block_causal", SIZES),
        *(Kind(3, 256, 128, "b"), (SMALL, OTHERS)),
    ),
    "a pass that makes keys anew beside another client's small ones": (
        *("full", SIZES),
        *(Kind(300, 64, 16, "b", "dual"), (SMALL,)),
    ),
    "passes that make keys anew, of two clients": (
        *("full", SIZES),
        *(Kind(60, 64, 16, "b", "prefix"), (Kind(60, 64, 16, "a", "prefix"),)),
    ),
    "a block of more than half of a step before a full queue": (
        *("block_causal", replace(SIZES, max_batch_tokens=64)),
        *(Kind(3, 80, 40, "a"), (Kind(40, 4, 4, "a"),) * 8),
    ),
    "a block of nearly a step before a full queue of two clients": (
        *("block_causal", replace(SIZES, max_batch_tokens=48)),
        *(Kind(3, 64, 32, "a"), (Kind(40, 4, 4, "a"), Kind(24, 4, 4, "b")) * 4),
    ),
    "a canvas beside canvases of its client that end at once": (
        *("full", NARROW),
        *(Kind(40, 16, 8, "a"), (Kind(40, 1, 1, "a"),) * 3),
    ),
    "a canvas beside another client's canvases that end at once": (
        *("full", NARROW),
        *(Kind(40, 16, 8, "b"), (Kind(40, 1, 1, "a"),) * 3),
    ),
    "a block as long as a step beside blocks that are filled at once": (
        *("block_causal", replace(SIZES, max_batch_tokens=8, max_num_seqs=2)),
        *(Kind(1, 16, 8, "b"), (Kind(3, 4, 8, "a", steps=1),) * 2),
    ),
    "a canvas of more than half of a step while another client has every seat": (
        *("full", replace(SIZES, max_batch_tokens=128, max_num_seqs=4)),
        *(Kind(60, 40, 8, "b", "dual"), (Kind(3, 16, 8, "a"),) * 8),
    ),
}


@pytest.mark.parametrize("ahead", [0, 1])
@pytest.mark.parametrize("name", CASES)
def test_a_long_pass_has_its_turn(name: str, ahead: int) -> None:
    attention, limits, kind, others = CASES[name]
    assert steps_until_done(attention, limits, kind, others, ahead) is not None


@pytest.mark.exhaustive
@pytest.mark.parametrize("seed", range(300))
def test_no_request_waits_for_ever(seed: int) -> None:
    random = Random(seed)
    attention: AttentionPattern = random.choice(["block_causal", "full"])
    saturation, budget = random.choice([8, 32, 256]), random.choice([64, 128, 256, 600, 2048])
    seats = random.choice([2, 4, 16])
    limits = replace(
        SIZES,
        max_batch_tokens=budget,
        saturation_rows=saturation,
        rows_per_client=saturation,
        max_num_seqs=seats,
    )
    cache = random.choice([None, "prefix", "dual"]) if attention == "full" else None

    def draw(client: str, blocks: list[int], prompts: list[int]) -> Kind:
        block = random.choice(blocks)
        return Kind(random.choice(prompts), block * random.randint(1, 3), block, client, cache)

    kind = draw(random.choice("ab"), [8, 16, 32, 64, 128], [3, 60, 300])
    others = [draw(random.choice("abc"), [4, 8, 16, 32], [1, 10, 40, 100]) for _ in range(6)]
    steps_until_done(attention, limits, kind, tuple(others), random.randint(0, 1))


@pytest.mark.parametrize(
    ("pages", "budget", "big", "other"),
    [
        (256, 64, Kind(300, 400, 8, "b"), Kind(16, 700, 8, "a")),
        (96, 16, Kind(266, 99, 8, "b"), Kind(72, 102, 8, "a")),
    ],
)
@pytest.mark.parametrize("ahead", [0, 1])
def test_a_request_that_holds_most_pages_is_read_anew_but_so_often(
    pages: int, budget: int, big: Kind, other: Kind, ahead: int
) -> None:
    """Two other clients have one request each at any time, and all three do not fit."""
    limits = replace(SIZES, max_batch_tokens=budget, num_pages=pages)
    model = replace(MODEL, max_model_len=1024)
    simulation, names = Simulation(model, limits, ahead, np.random.default_rng(0)), count()

    def fill() -> None:
        open_ = {session.sequence.request.client for session in simulation.sessions.values()}
        for client in {"a", "c"} - open_:
            number = next(names)
            simulation.add(replace(other, client=client).request(f"other {number}", number))

    for _ in range(3):
        fill()
        simulation.step()
    simulation.add(big.request("big", 7))
    for _ in range(8000):
        fill()
        simulation.step()
        if "big" not in simulation.sessions:
            return
    raise AssertionError("it never ends")


def steps_until_done(
    attention: AttentionPattern,
    limits: EngineLimits,
    kind: Kind,
    others: tuple[Kind, ...],
    ahead: int,
) -> int | None:
    """Steps that a request takes while others never end; None for one that is refused.

    A heavy one has a pass in so many steps of the others that it may take long.
    """
    model = replace(WIDE, attention=attention)
    simulation = Simulation(model, limits, ahead, np.random.default_rng(0))
    names, one = count(), kind.request("one", 7)
    try:
        resolve(one, model, limits)
        for other in others:
            resolve(other.request("other"), model, limits)
    except InvalidRequest:
        return None

    def fill() -> None:
        while simulation.scheduler.num_waiting < len(others):
            number = next(names)
            simulation.add(others[number % len(others)].request(f"other {number}", number))

    for _ in range(10):
        fill()
        simulation.step()
    simulation.add(one)
    passes, last = -1, 0
    for step in range(20_000):
        fill()
        simulation.step()
        if "one" not in simulation.sessions:
            return step
        sequence = simulation.sessions["one"].sequence
        if sequence.num_forwards != passes:
            passes, last = sequence.num_forwards, step
        assert step - last < 1000, f"no pass after {passes} of them"
    raise AssertionError("it never ends")
