"""The scripted meter's readings hold exactly what the scripts drew, whenever anybody looked."""

import tempfile
from itertools import pairwise
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as some

from tidewatt.backends.backend import Launch, Phase
from tidewatt.backends.fake import FakeBackend, FakeMeter, Leg, Script
from tidewatt.backends.fake_script import NEXT
from tidewatt.backends.meters.journal import readings_of

START_MS = 1_700_000_000_000


@some.composite
def courses(draw: some.DrawFn) -> tuple[Leg, ...]:
    """Any course of phases, with whole watts."""
    legs, phase = [], Phase.RUNNING
    for _ in range(draw(some.integers(1, 6))):
        watts = draw(some.none() | some.integers(40, 700))
        legs.append(Leg(phase, draw(some.integers(1, 300)), watts, draw(some.integers(0, 4))))
        phase = draw(some.sampled_from(sorted(NEXT[phase])))
    return tuple(legs)


@settings(max_examples=30, deadline=None)
@given(
    course=courses(),
    looks=some.lists(some.integers(1, 400), min_size=1, max_size=12),
    starts_after_s=some.integers(0, 50),
    idle_w=some.integers(20, 80),
)
def test_counters_hold_what_the_legs_drew_and_the_statuses_agree(
    course: tuple[Leg, ...], looks: list[int], starts_after_s: int, idle_w: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        now_ms = [START_MS]
        meter = FakeMeter(Path(folder, "readings"), {"GPU-0": idle_w, "GPU-1": 30}, START_MS, interval_s=60)
        script = Script(course=course, starts_after_s=starts_after_s)
        backend = FakeBackend(lambda: now_ms[0], script, meter=meter)
        at = Path(folder, "1", "1")
        out = Path(folder, "out")
        backend.submit(Launch("1.1", at, ("true",), at, None, out, out, gpu_uuids=("GPU-0",)))
        for passed_s in (*looks, 2_500):
            now_ms[0] += 1000 * passed_s
            status = backend.status([at])[at]
        assert status.moves == script.moves(START_MS + 1000 * starts_after_s, now_ms[0])
        assert all(here.at_ms < there.at_ms for here, there in pairwise(status.moves))
        readings = [each for path in sorted(meter.folder.glob("*.jsonl")) for each in readings_of(path)]
        first, last = readings[0], readings[-1]
        drawn_j = sum(leg.lasts_s * (idle_w if leg.gpu_w is None else leg.gpu_w) for leg in course)
        idle_s = (last.time_ms - first.time_ms) / 1000 - script.lasts_s
        used_uj = last.energy_uj["gpu:GPU-0"] - first.energy_uj["gpu:GPU-0"]
        assert used_uj == round((drawn_j + idle_w * idle_s) * 1e6)
        assert last.energy_uj["gpu:GPU-1"] - first.energy_uj["gpu:GPU-1"] == 30_000 * (
            last.time_ms - first.time_ms
        )
        assert last.cpu_ms["host"] == sum(1000 * leg.lasts_s * leg.cores for leg in course)
        assert [each.cause for each in readings if each.cause != "tick"] == [
            "start 1.1", *["phase 1.1"] * (len(course) - 1), "end 1.1"
        ]  # fmt: skip
        assert all(here.time_ms <= there.time_ms for here, there in pairwise(readings))
