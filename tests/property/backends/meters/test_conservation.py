"""What the devices used is what was divided, whatever the readings look like."""

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.meters.slow_energy import slow_spans
from tests.nvml.kept import NOON_MS, Kept, dram, gpu, model, package
from tidewatt.backends.meters.balance import Allocation, account
from tidewatt.backends.meters.energy import usage
from tidewatt.backends.meters.excerpt import export
from tidewatt.backends.meters.journal import Slice
from tidewatt.backends.meters.reading import Device, How, Usage

EXAMPLES = int(os.environ.get("TIDEWATT_SOAK_ENERGY", "60"))
BOOT = "b0070000-0000-4000-8000-000000000001"
NODE = Device("node:PDU", "node", How.MEASURED, "PDU")
MIG = {"MIG-1": Slice("GPU-a", 3, 7), "MIG-2": Slice("GPU-a", 4, 7)}
Step = tuple[int, int, int, int, int, int, str]
FAULTS = ["gpu lost", "gpu reset", "cpu lost", "clock set back", "no power", "still", "slept"]
STEPS = st.lists(
    st.tuples(
        st.integers(100, 12_000),  # ms since the reading before
        st.integers(0, 400),  # W of each GPU
        st.integers(0, 150),  # W of the CPU
        st.integers(0, 20_000),  # ms of CPU time of others
        st.integers(0, 20_000),  # of attempt 1.1
        st.integers(0, 20_000),  # of attempt 2.1
        st.sampled_from(["fine"] * 6 + FAULTS),
    ),
    min_size=1,
    max_size=12,
)
KEYS = ("gpu:GPU-a", "gpu:GPU-b")


@dataclass(frozen=True)
class Metering:
    """The node's own meter: its power, or its counter every so many readings."""

    watts: int
    every: int


def kept_by(
    folder: Path,
    steps: list[Step],
    *,
    whole: bool,
    boot: int = 0,
    from_ms: int = NOON_MS,
    node: Metering | None = None,
) -> Kept:
    """Readings of these steps; faults only where not `whole`."""
    devices = (gpu("GPU-a"), gpu("GPU-b"), package(), dram(), model(), *((NODE,) if node else ()))
    kept = Kept(folder, devices, interval_ms=5000, time_ms=from_ms, mig=MIG, boot=f"b{boot}{BOOT[2:]}")
    kept.power_mw = dict.fromkeys(KEYS, 100_000)
    if node and not node.every:
        kept.power_mw[NODE.key] = node.watts * 1000
    kept.work(0, a1_1=0, a2_1=0).tick(0, d0=0, d1=0, d2=0, d3=0, d4=0)
    node_uj = 0
    for number, (passed_ms, gpu_w, cpu_w, others_ms, one_ms, two_ms, fault) in enumerate(steps):
        if node and node.every:
            node_uj += node.watts * 1000 * passed_ms
            kept.energy_uj.pop(NODE.key, None)
            if number % node.every == 0:
                kept.energy_uj[NODE.key] = node_uj
        if not whole and fault == "gpu reset":
            kept.energy_uj["gpu:GPU-a"] = 0
        if not whole and fault == "clock set back":
            kept.time_ms -= 4000
        if not whole and fault == "slept":
            kept.slept_ms += passed_ms
        kept.work(others_ms + one_ms // 2, a1_1=one_ms, a2_1=two_ms)  # the host's ticks may miss some of it
        before = dict(kept.energy_uj), dict(kept.power_mw)
        if not whole and fault in ("gpu lost", "cpu lost"):
            for key in (
                KEYS if fault == "gpu lost" else ("rapl:package-0", "rapl:package-0/dram", "cpu-model")
            ):
                kept.energy_uj.pop(key, None)
            kept.mono_ms, kept.time_ms = kept.mono_ms + passed_ms, kept.time_ms + passed_ms
            kept.read()
            kept.energy_uj, kept.power_mw = before
            continue
        if not whole and fault == "no power":
            kept.power_mw = {}
        gpu_w = 0 if fault == "still" else gpu_w
        kept.tick(passed_ms / 1000, d0=gpu_w, d1=gpu_w / 2, d2=cpu_w, d3=10, d4=cpu_w)
        kept.power_mw = before[1]
    return kept


def total_uj(used: Usage, component: str) -> int:
    return sum(s.active_uj + s.idle_uj for s in used.spans if s.component == component)


HOSTS = st.lists(STEPS, min_size=1, max_size=3)  # a boot each
ALLOCATIONS = st.lists(
    st.tuples(st.sampled_from(["GPU-a", "GPU-b", "MIG-1", "MIG-2", "both"]), st.floats(0, 1)), max_size=5
)


@settings(max_examples=EXAMPLES, deadline=None)
@given(HOSTS, ALLOCATIONS, st.sampled_from(["none", "power", "counter"]), st.integers(0, 2500))
def test_jobs_idle_of_what_is_reserved_and_not_and_rest_are_the_whole(
    boots: list[list[Step]], shares: list[tuple[str, float]], node: str, node_w: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        end_ms = NOON_MS
        for number, steps in enumerate(boots):
            meter = {"power": Metering(node_w, 0), "counter": Metering(node_w, 3)}.get(node)
            kept = kept_by(Path(folder), steps, whole=False, boot=number, from_ms=end_ms, node=meter)
            end_ms = max(end_ms, kept.time_ms)
        balance = account(Path(folder), allocated(shares, end_ms), NOON_MS, end_ms)
        assert set(balance.components) >= {"gpu", "cpu", "dram"}
        assert ("node overhead" in balance.components) == (node != "none")
        for component, energy_uj in balance.total.items():
            assert sum(balance.parts(component)) == energy_uj
            assert min(balance.parts(component)) >= 0


def allocated(shares: list[tuple[str, float]], end_ms: int) -> list[Allocation]:
    """Runs at random times, of which no two have a GPU, or one and a slice of it, at once."""
    borders = sorted(NOON_MS + round(part * (end_ms - NOON_MS)) for _, part in shares)
    edges = [NOON_MS, *borders]
    found = []
    for number, ((name, _), start_ms, stop_ms) in enumerate(zip(shares, edges, borders, strict=False), 1):
        uuids = ("GPU-a", "GPU-b") if name == "both" else (name,)
        found.append(Allocation(f"{number}.1", uuids, start_ms, stop_ms))
        if name == "MIG-1":  # the other slices may be somebody else's meanwhile
            found.append(Allocation(f"{number}.2", ("MIG-2",), start_ms, stop_ms))
    return found


@settings(max_examples=60, deadline=None)
@given(STEPS, st.integers(-5000, 20_000), st.integers(0, 90_000))
def test_usage_is_never_negative_and_never_beyond_its_run(
    steps: list[Step], start_ms: int, length_ms: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        kept = kept_by(Path(folder), steps, whole=False)
        start_ms += NOON_MS
        used = usage(kept.folder, "1.1", ["GPU-a", "GPU-b"], start_ms, start_ms + length_ms)
        for span in used.spans:
            assert span.active_uj >= 0
            assert span.idle_uj >= 0
            assert used.start_ms <= span.start_ms < span.end_ms <= used.end_ms
        assert set(used.coverage) == {"gpu", "cpu", "dram"}
        assert all(0 <= share <= 1 for share in used.coverage.values())
        for component, share in used.coverage.items():
            assert share > 0 or total_uj(used, component) == 0
            assert used.sources[component]


@settings(max_examples=EXAMPLES, deadline=None)
@given(STEPS, st.integers(-5000, 20_000), st.integers(1, 90_000))
def test_columns_say_what_plain_loops_say(steps: list[Step], start_ms: int, length_ms: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        # What the clock said when it was set back is for attempts that know their own readings: unit tests.
        steps = [(*step[:-1], step[-1].replace("clock set back", "fine")) for step in steps]
        kept = kept_by(Path(folder), steps, whole=False)
        run = "1.1", ["GPU-a", "GPU-b"], NOON_MS + start_ms, NOON_MS + start_ms + length_ms
        used = usage(kept.folder, *run)
        own = Path(folder) / "own"  # both see the same neighbours of the run, and no more
        assert export(kept.folder, own, *run[2:], "1.1") == used.digest
        assert (tuple(used.spans), used.end_ms) == slow_spans(own, *run, used.idle_mw)


@settings(max_examples=40, deadline=None)
@given(STEPS, st.floats(0.05, 0.95))
def test_two_runs_one_after_the_other_use_what_one_long_run_uses(steps: list[Step], part: float) -> None:
    with tempfile.TemporaryDirectory() as folder:
        kept = kept_by(Path(folder), steps, whole=True)
        border = NOON_MS + max(1, round(part * (kept.time_ms - NOON_MS)))
        uuids = ["GPU-a", "GPU-b"]
        whole = usage(kept.folder, "1.1", uuids, NOON_MS, kept.time_ms)
        early = usage(kept.folder, "1.1", uuids, NOON_MS, border)
        late = usage(kept.folder, "1.1", uuids, border, kept.time_ms)
        assert total_uj(early, "gpu") + total_uj(late, "gpu") == total_uj(whole, "gpu")
