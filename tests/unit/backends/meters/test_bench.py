"""What a bench of instruments does beside reading them."""

from pathlib import Path

import pytest

from tests.nvml.fake_nvml import FakeNvml
from tidewatt.backends.clock import Clock
from tidewatt.backends.meters.bench import Bench, HostTime
from tidewatt.backends.meters.cputime import CpuTimes
from tidewatt.backends.meters.reading import Device, How


def bench(folder: Path, **more: object) -> Bench:
    """A bench without RAPL that reads every 10 s."""
    return Bench(CpuTimes(folder), Clock(), 10, powercap=folder / "none", **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(("chance", "pause_s"), [(0.0, 5.0), (0.5, 10.0), (0.99, 14.9)])
def test_draws_that_are_sampled_are_read_at_shaken_instants(
    stubbed: FakeNvml, tmp_path: Path, chance: float, pause_s: float
) -> None:
    stubbed.change("GPU-b", counter=0)
    made = bench(tmp_path, shake=lambda: chance)
    made.read("tick")
    assert made.pause_s() == pytest.approx(pause_s)


def test_counters_are_read_at_even_instants(stubbed: FakeNvml, tmp_path: Path) -> None:
    made = bench(tmp_path, shake=lambda: 0.9)
    made.read("tick")
    assert made.pause_s() == 10


@pytest.mark.parametrize(("asleep_ms", "told_ms"), [(0, 0), (40, 0), (600_000, 600_000)])
def test_reading_tells_for_how_long_the_host_has_slept(tmp_path: Path, asleep_ms: int, told_ms: int) -> None:
    time = HostTime(lambda: 1_700_000_000_000, lambda: 5_000_000, lambda: 5_000_000 - asleep_ms)
    reading = bench(tmp_path, host=time).read("tick")
    assert (reading.mono_ms, reading.slept_ms) == (5_000_000, told_ms)


def test_other_instruments_are_read_with_it(tmp_path: Path) -> None:
    class Node:
        note = "one of two supplies does not answer"

        def devices(self) -> tuple[Device, ...]:
            return (Device("node:psu", "node", How.MEASURED, "a power supply"),)

        def read(self) -> tuple[dict[str, int], dict[str, int]]:
            return {}, {"node:psu": 450_000}

    made = bench(tmp_path, others=(Node(),))
    assert made.read("tick").power_mw["node:psu"] == 450_000
    assert made.header().device("node:psu") is not None
    assert "one of two supplies does not answer" in made.header().notes
