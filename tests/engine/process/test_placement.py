"""Devices and cores of engines that run side by side."""

from pathlib import Path

import pytest

from unmask.engine.process.placement import (
    VISIBLE,
    Place,
    available_cores,
    places,
    visible_gpus,
)
from unmask.errors import InvalidConfig


def test_a_single_engine_has_everything() -> None:
    assert places(1, "auto", ["0", "1"], [0, 1]) == (Place(),)


def test_each_engine_has_a_gpu_of_its_own_of_those_that_are_visible() -> None:
    gpus = visible_gpus({VISIBLE: "3, GPU-1f,5"})
    first, second = places(2, "auto", gpus, [0])
    assert first.environment == {VISIBLE: "3"}
    assert second.environment == {VISIBLE: "GPU-1f"}
    assert first.cores is None


@pytest.mark.parametrize(("value", "gpus"), [("", []), ("-1", []), ("1,-1,2", ["1"])])
def test_the_list_of_visible_gpus_ends_as_for_cuda(value: str, gpus: list[str]) -> None:
    assert visible_gpus({VISIBLE: value}) == gpus


def test_without_a_list_every_gpu_of_the_machine_is_visible(tmp_path: Path) -> None:
    for name in ("nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm"):
        (tmp_path / name).touch()
    assert visible_gpus({}, tmp_path) == ["0", "1"]


@pytest.mark.parametrize(("device", "gpus"), [("auto", "01"), ("cuda", "01"), ("cuda", "")])
def test_more_engines_than_gpus_are_refused(device: str, gpus: str) -> None:
    with pytest.raises(InvalidConfig, match=f"data_parallel is 3, but {len(gpus)} GPUs"):
        places(3, device, gpus, [0, 1, 2])  # type: ignore[arg-type]


def test_on_a_cpu_engines_share_the_cores() -> None:
    shares = [place.cores for place in places(2, "cpu", ["0"], [0, 2, 4, 6, 8])]
    assert shares == [(0, 2), (4, 6, 8)]
    assert [place.cores for place in places(3, "auto", [], [4, 5])] == [(4,), (5,), (4,)]


def test_hardware_threads_of_a_core_stay_together(tmp_path: Path) -> None:
    cores = available_cores(tmp_path)
    for core in cores:
        folder = tmp_path / f"cpu{core}" / "topology"
        folder.mkdir(parents=True)
        (folder / "physical_package_id").write_text("0\n")
        (folder / "core_id").write_text(f"{-core}\n")
    assert available_cores(tmp_path) == sorted(cores, reverse=True)
