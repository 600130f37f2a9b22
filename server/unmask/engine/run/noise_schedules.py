"""Numbers of a step that follow from a schedule of noise: temperatures, levels and chances.

Everything is computed in float64, as the references do it.
"""

import numpy as np
import numpy.typing as npt

from unmask.engine.run.staging import Array
from unmask.engine.schedule.batch import DecodingArrays
from unmask.types import CanvasSchedule, NoiseSchedule, PosteriorSchedule

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
LEAST_SIGNAL = 1e-30
NUM_CHANCES = 4
ALWAYS_DRAWN = 0.0, 0.0, 1.0, 0.0


def schedule_arrays(
    schedule: NoiseSchedule, decoding: DecodingArrays, steps: Ints, vocab_size: int
) -> dict[str, Array]:
    """Arrays [S] of `NoiseInputs` by field for the `steps` [S] of canvases.

    A schedule leaves zeros in what only the other one reads.
    """
    count, all_steps = len(steps), decoding.columns["num_steps"]
    sigmas, chances = np.zeros(count), np.zeros((count, NUM_CHANCES))
    stability, confidence = 0, 0.0
    if isinstance(schedule, CanvasSchedule):
        temperature = schedule.t_min + (schedule.t_max - schedule.t_min) * (
            (all_steps - steps) / all_steps
        )
        stability, confidence = schedule.stability, schedule.confidence
    else:
        temperature = posterior_temperatures(schedule, steps, all_steps)
        before, after = signal_shares(schedule, steps, all_steps)
        sigmas = -np.log(np.maximum(before, LEAST_SIGNAL))
        chances = posterior_chances(before, after, vocab_size)
        is_drawn = decoding.columns["temperature"] <= 0
        # The answer of a grammar is a path through it.
        is_drawn |= decoding.columns["is_structured"] & (steps >= all_steps - 1)
        chances[is_drawn] = ALWAYS_DRAWN
    return {
        "temperature": temperature.astype(np.float32),
        "stability": np.full(count, stability, np.int64),
        "confidence": np.full(count, confidence, np.float32),
        "sigmas": sigmas.astype(np.float32),
        "chances": chances.astype(np.float32),
    }


def posterior_temperatures(schedule: PosteriorSchedule, steps: Ints, all_steps: Ints) -> Floats:
    """Temperatures [S]: from `t_max` in the first step to `t_min` in the last two."""
    t_min = np.where(all_steps <= schedule.few_steps, schedule.few_t_min, schedule.t_min)
    shares = np.minimum(steps / np.maximum(all_steps - 2, 1), 1.0)
    shares = np.where(steps == all_steps - 1, 1.0, shares)
    temperatures: Floats = schedule.t_max + shares * (t_min - schedule.t_max)
    return temperatures


def signal_shares(
    schedule: PosteriorSchedule, steps: Ints, all_steps: Ints
) -> tuple[Floats, Floats]:
    """Shares of signal [S] before and after each step; the last one leaves no noise."""
    rho = np.where(all_steps <= schedule.few_steps, schedule.few_rho, schedule.rho)
    falls = np.maximum(all_steps - 1, 1)

    def share(step: Ints) -> Floats:
        # A block of one step is read out of pure noise.
        left = np.where(all_steps == 1, 1.0, np.maximum(1.0 - step / falls, 0.0))
        time = schedule.eps + (1.0 - schedule.eps) * left**rho
        shares: Floats = 1.0 - (1.0 - schedule.eps) * time
        return shares

    is_last = steps == all_steps - 1
    before = share(steps)
    before = np.where(is_last, np.minimum(before, np.exp(-schedule.sigma_floor)), before)
    return before, np.where(is_last, 1.0, share(steps + 1))


def posterior_chances(before: Floats, after: Floats, vocab_size: int) -> Floats:
    """Chances [S, 4] of `unmask_kernels.noise.posterior.Blocks`."""
    kept = before / after
    columns = before * vocab_size, kept - before, after - before, (1 - kept) * (1 - after)
    chances: Floats = np.stack(columns, -1)
    return chances
