"""Whatever happens to a host, in whatever order: what is called measured is true, the rest is classed."""

import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.meters.fault_case import A, B, Case, Event, Expected, change, zone_fault
from tests.meters.powercap import Zone
from tests.meters.run import run_case
from tests.meters.scene import Gpu, Scene
from tests.meters.truth import Wave
from tests.nvml.fake_nvml import HERE

EXAMPLES = int(os.environ.get("TIDEWATT_SOAK_FAULTS", "25"))
STEP_MS = 100  # the GPUs' counters move in such steps
COUNTER = {"quantum_ms": STEP_MS, "base_mj": 10**10}  # 10 MJ since its driver was loaded
MOST_W = 700
ANY = Expected()
Happening = Callable[[Scene], None]
HAPPENINGS: dict[str, Happening] = {
    "GPU lost": lambda scene: scene.lose(A),
    "GPU back": lambda scene: scene.find(A),
    "counter reset": lambda scene: scene.reset_counter(A),
    "counter stands still": lambda scene: scene.stick_counter(B),
    "counter fails": change(A, counter=-999),
    "counter works": change(A, counter=1),
    "driver gone": lambda scene: scene.fail(9),
    "driver back": lambda scene: scene.load_driver_again(),
    "package silent": zone_fault("intel-rapl:0", "unreadable"),
    "package stands still": zone_fault("intel-rapl:0", "frozen"),
    "package back": zone_fault("intel-rapl:0", ""),
    "meter killed": lambda scene: scene.kill_meter(),
    "meter started": lambda scene: scene.start_meter(),
    "suspend": lambda scene: scene.suspend(400, counters="go on"),
    "suspend, counters from 0": lambda scene: scene.suspend(900, counters="reset"),
    "clock forward": lambda scene: scene.set_clock(5000),
    "clock back": lambda scene: scene.set_clock(-7000),
}
STOPS = {"counter stands still", "package stands still"}
RESETS = ("counter reset", "driver back", "suspend, counters from 0")
HIDES = {
    *RESETS,
    "suspend",
    "meter killed",
    "meter started",
    "driver gone",
    "GPU lost",
    "package silent",
}  # before a stopped counter was seen to stand still


def tellable(events: list[tuple[int, str]]) -> bool:
    """Whether readings can tell: not of two resets in one interval, or of a stop that something hides."""
    names = [name for _, name in events]
    return sum(name in RESETS for name in names) < 2 and not (STOPS & {*names} and HIDES & {*names})


EVENTS = st.lists(st.tuples(st.integers(1, 99), st.sampled_from(sorted(HAPPENINGS))), max_size=4).filter(
    tellable
)
WAVES = st.builds(
    Wave, st.integers(150, MOST_W), st.integers(50, 150), st.sampled_from([0, 100, 588, 1000, 2500, 9700])
)


@pytest.fixture(autouse=True)
def stub(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The stub of `pynvml`."""
    monkeypatch.setenv("FAKE_NVML", "")
    monkeypatch.syspath_prepend(HERE / "stub")
    monkeypatch.delitem(sys.modules, "pynvml", raising=False)
    yield
    sys.modules.pop("pynvml", None)


@settings(max_examples=EXAMPLES, deadline=None)
@given(EVENTS, WAVES, st.integers(20, 130), st.sampled_from([2.0, 10.0]), st.integers(60, 200))
def test_what_is_called_measured_is_true(
    events: list[tuple[int, str]], wave: Wave, package_w: int, interval_s: float, seconds: int
) -> None:
    case = Case(
        "anything",
        {"gpu": ANY, "cpu": ANY},
        (Gpu(A, wave, COUNTER), Gpu(B, Wave(300), COUNTER)),
        {"package-0": Wave(package_w)},
        (Zone("intel-rapl:0", "package-0", ("package-0",), limit_w=150),),
        events=tuple(Event(at / 100, HAPPENINGS[name]) for at, name in sorted(events)),
        seconds=seconds,
        interval_s=interval_s,
    )
    with tempfile.TemporaryDirectory() as name:
        os.environ["FAKE_NVML"] = str(Path(name) / "fake_nvml.state")
        found = run_case(case, Path(name), None)
    for component, verdict in found.items():
        assert 0 <= verdict.coverage <= 1 + 1e-9
        assert verdict.ours_j >= 0
        if verdict.error is not None:
            edges_j = 2 * STEP_MS / 1000 * MOST_W * (2 + len(events)) if component == "gpu" else 5.0
            assert abs(verdict.error) * verdict.covered_j <= 0.01 * verdict.covered_j + edges_j, component
