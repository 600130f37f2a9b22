"""Devices and cores of engines that run side by side."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from unmask.config import DeviceName
from unmask.errors import InvalidConfig

VISIBLE = "CUDA_VISIBLE_DEVICES"
TOPOLOGY = Path("/sys/devices/system/cpu")


@dataclass(frozen=True, slots=True)
class Place:
    """Environment variables of an engine's process, and the CPUs it may run on; None is all."""

    environment: Mapping[str, str] = field(default_factory=dict)
    cores: tuple[int, ...] | None = None


def places(
    count: int, device: DeviceName, gpus: Sequence[str], cores: Sequence[int]
) -> tuple[Place, ...]:
    """A place for each engine: a GPU of its own, or on a CPU an equal share of the cores.

    A single engine has everything. Raises `InvalidConfig` if there are fewer GPUs than engines.
    """
    if count == 1:
        return (Place(),)
    if device == "cpu" or (device == "auto" and not gpus):
        return tuple(Place(cores=_share(cores, i, count)) for i in range(count))
    if len(gpus) < count:
        raise InvalidConfig(f"server.data_parallel is {count}, but {len(gpus)} GPUs are visible")
    return tuple(Place({VISIBLE: name}) for name in gpus[:count])


def _share(cores: Sequence[int], i: int, count: int) -> tuple[int, ...]:
    if len(cores) < count:
        return (cores[i % len(cores)],)
    return tuple(cores[i * len(cores) // count : (i + 1) * len(cores) // count])


def visible_gpus(environ: Mapping[str, str], devices: Path = Path("/dev")) -> list[str]:
    """GPUs in the words of CUDA_VISIBLE_DEVICES; without it all of this machine.

    CUDA stops at the first name that is no device, such as -1.
    """
    listed = environ.get(VISIBLE)
    if listed is None:
        return [str(i) for i, _ in enumerate(devices.glob("nvidia[0-9]*"))]
    names = [name.strip() for name in listed.split(",")]
    end = next((i for i, name in enumerate(names) if name in ("", "-1")), len(names))
    return names[:end]


def available_cores(topology: Path = TOPOLOGY) -> list[int]:
    """CPUs that this process may use, those of one socket and one core side by side."""
    if hasattr(os, "sched_getaffinity"):
        cores = os.sched_getaffinity(0)
    else:
        cores = set(range(os.cpu_count() or 1))
    return sorted(cores, key=lambda core: (_topology(topology, core), core))


def _topology(topology: Path, core: int) -> tuple[int, int]:
    """Numbers of the socket and the physical core; hardware threads of a core share both."""
    folder = topology / f"cpu{core}" / "topology"
    try:
        socket, physical = (
            int((folder / name).read_text()) for name in ("physical_package_id", "core_id")
        )
    except (OSError, ValueError):
        return 0, core
    return socket, physical
