"""Energy from readings whose truth is known."""

import hashlib
from pathlib import Path

import pytest

from tests.nvml.kept import NOON_MS, Kept, dram, gpu, model, package
from tidewatt.backends.clock import Clock
from tidewatt.backends.meters.energy import gaps, usage
from tidewatt.backends.meters.excerpt import export
from tidewatt.backends.meters.journal import Slice
from tidewatt.backends.meters.reading import How, Usage

J = 1_000_000  # microjoules


def energy_j(used: Usage, component: str = "gpu") -> float:
    spans = [span for span in used.spans if span.component == component]
    assert all(span.active_uj >= 0 and span.idle_uj >= 0 for span in spans)
    return sum(span.active_uj + span.idle_uj for span in spans) / J


def idle_j(used: Usage, component: str = "gpu") -> float:
    return sum(span.idle_uj for span in used.spans if span.component == component) / J


def hows(used: Usage, component: str = "gpu") -> set[How]:
    return {span.how for span in used.spans if span.component == component}


def run(kept: Kept, *uuids: str, start_s: float, end_s: float) -> Usage:
    """The usage of attempt 1.1 between seconds after noon on the clock of the readings."""
    return usage(kept.folder, "1.1", uuids, NOON_MS + round(start_s * 1000), NOON_MS + round(end_s * 1000))


def test_gpu_energy_is_the_difference_of_its_counter(tmp_path: Path) -> None:
    kept = Kept(tmp_path, (gpu(),)).tick(0, d0=0)
    for _ in range(6):
        kept.tick(10, d0=400)
    used = run(kept, "GPU-a", start_s=0, end_s=60)
    assert energy_j(used) == 24_000
    assert used.coverage["gpu"] == 1.0
    assert used.sources["gpu"] == "NVML energy counter"
    assert hows(used) == {How.MEASURED}


def test_readings_at_the_edges_are_clipped_in_proportion(tmp_path: Path) -> None:
    kept = Kept(tmp_path, (gpu(),)).tick(0, d0=0).tick(10, d0=100).tick(10, d0=300)
    assert energy_j(run(kept, "GPU-a", start_s=5, end_s=15)) == 5 * 100 + 5 * 300


def test_four_gpus_are_summed_not_averaged(tmp_path: Path) -> None:
    uuids = [f"GPU-{letter}" for letter in "abcd"]
    kept = Kept(tmp_path, tuple(gpu(uuid) for uuid in uuids)).tick(0, d0=0, d1=0, d2=0, d3=0)
    kept.tick(10, d0=400, d1=400, d2=400, d3=400)
    used = run(kept, *uuids, start_s=0, end_s=10)
    assert energy_j(used) == 16_000
    assert len([span for span in used.spans if span.component == "gpu"]) == 1


def test_gpus_of_others_are_not_charged(tmp_path: Path) -> None:
    kept = Kept(tmp_path, (gpu("GPU-a"), gpu("GPU-b"))).tick(0, d0=0, d1=0).tick(10, d0=100, d1=390)
    assert energy_j(run(kept, "GPU-a", start_s=0, end_s=10)) == 1000


def test_two_packages_and_two_memories_are_summed(tmp_path: Path) -> None:
    kept = Kept(tmp_path, (package(0), package(1), dram(0), dram(1))).work(0, a1_1=0)
    kept.tick(0, d0=0, d1=0, d2=0, d3=0).work(20_000, a1_1=20_000).tick(5, d0=100, d1=100, d2=20, d3=20)
    used = run(kept, start_s=0, end_s=5)
    assert energy_j(used, "cpu") == pytest.approx(1000)
    assert energy_j(used, "dram") == pytest.approx(200)
    assert used.coverage == {"cpu": 1.0, "dram": 1.0}


def test_counter_reset_is_flagged_and_filled_from_power(tmp_path: Path) -> None:
    kept = Kept(tmp_path, (gpu(),), power_mw={"gpu:GPU-a": 400_000}).tick(0, d0=0).tick(10, d0=400)
    kept.energy_uj["gpu:GPU-a"] = 0
    kept.tick(10, d0=200).tick(10, d0=400)
    used = run(kept, "GPU-a", start_s=0, end_s=30)
    assert energy_j(used) == 12_000
    assert any("counter reset" in note and "filled from power" in note for note in used.notes)
    assert used.coverage["gpu"] == 1.0


def test_counter_reset_without_power_is_a_gap_not_a_number(tmp_path: Path) -> None:
    kept = Kept(tmp_path, (gpu(),)).tick(0, d0=0).tick(10, d0=400)
    kept.energy_uj["gpu:GPU-a"] = 0
    kept.tick(10, d0=1).tick(10, d0=400)
    used = run(kept, "GPU-a", start_s=0, end_s=30)
    assert energy_j(used) == 8000
    assert used.coverage["gpu"] == pytest.approx(2 / 3)
    assert any("energy not known" in note for note in used.notes)


def test_implausible_difference_is_not_believed(tmp_path: Path) -> None:
    kept = Kept(tmp_path, (gpu(limit_w=400),), power_mw={"gpu:GPU-a": 300_000}).tick(0, d0=0)
    kept.tick(10, d0=5000)
    used = run(kept, "GPU-a", start_s=0, end_s=10)
    assert energy_j(used) == 3000
    assert any("implausible" in note for note in used.notes)


def test_gpu_without_counter_is_integrated_from_power(tmp_path: Path) -> None:
    kept = Kept(tmp_path, (gpu(),), power_mw={"gpu:GPU-a": 250_000}).tick(0)
    for _ in range(3):
        kept.tick(10)
    used = run(kept, "GPU-a", start_s=0, end_s=30)
    assert energy_j(used) == 7500, "a constant power must not be taken for no samples"
    assert used.coverage["gpu"] == 1.0


def test_lost_gpu_that_comes_back_is_reconciled_by_its_counter(tmp_path: Path) -> None:
    kept = Kept(tmp_path, (gpu("GPU-a"), gpu("GPU-b"))).tick(0, d0=0, d1=0).tick(10, d0=100, d1=200)
    lost = kept.energy_uj.pop("gpu:GPU-a")
    kept.tick(10, d1=200)
    kept.energy_uj["gpu:GPU-a"] = lost + 10 * 100 * J
    kept.tick(10, d0=100, d1=200)
    used = run(kept, "GPU-a", "GPU-b", start_s=0, end_s=30)
    assert energy_j(used) == 3000 + 6000
    assert used.coverage["gpu"] == 1.0


def test_gpu_that_stays_lost_lowers_the_coverage_and_spares_the_others(tmp_path: Path) -> None:
    kept = Kept(tmp_path, (gpu("GPU-a"), gpu("GPU-b"))).tick(0, d0=0, d1=0).tick(10, d0=100, d1=200)
    del kept.energy_uj["gpu:GPU-a"]
    kept.tick(10, d1=200).tick(10, d1=200)
    used = run(kept, "GPU-a", "GPU-b", start_s=0, end_s=30)
    assert energy_j(used) == 1000 + 6000
    assert used.coverage["gpu"] == pytest.approx(4 / 6)
    assert "gpu:GPU-a: no reading after 2024-06-01 12:00:10 UTC" in used.notes
    assert not [note for note in used.notes if "GPU-b: no reading" in note]


def test_readings_that_end_before_the_run_are_told(tmp_path: Path) -> None:
    kept = Kept(tmp_path, (gpu(),)).tick(0, d0=0).tick(10, d0=100).tick(10, d0=100)
    used = run(kept, "GPU-a", start_s=0, end_s=60)
    assert used.coverage["gpu"] == pytest.approx(1 / 3)
    assert "no readings after 2024-06-01 12:00:20 UTC, before the end of the run" in used.notes
    assert not [note for note in run(kept, "GPU-a", start_s=0, end_s=21).notes if "no reading" in note]


def test_square_wave_is_exact_where_sampled_power_is_not(tmp_path: Path) -> None:
    kept = Kept(tmp_path, (gpu(limit_w=700),), interval_ms=1000, power_mw={"gpu:GPU-a": 100_000}).tick(
        0, d0=0
    )
    for _ in range(12):
        kept.tick(1, d0=400)  # 100 W and 700 W in turn at 1 Hz: every sample falls into the low half
    used = run(kept, "GPU-a", start_s=0, end_s=12)
    assert energy_j(used) == 4800
    assert any("4800 J, its power as sampled 1200 J" in note for note in used.notes)


def test_counter_that_stands_still_is_not_zero_joules(tmp_path: Path) -> None:
    kept = Kept(tmp_path, (gpu(), package()), power_mw={"gpu:GPU-a": 50_000}).work(0, a1_1=0)
    kept.tick(0, d0=0, d1=0).work(1000, a1_1=1000).tick(10, d0=0, d1=0)
    used = run(kept, "GPU-a", start_s=0, end_s=10)
    assert energy_j(used) == 500
    assert any("stands still" in note for note in used.notes)
    assert hows(used, "cpu") == {How.MISSING}
    assert used.coverage["cpu"] == 0


def test_mig_device_gets_its_slices_of_the_parent_and_says_modelled(tmp_path: Path) -> None:
    kept = Kept(tmp_path, (gpu("GPU-a"),), mig={"MIG-x": Slice("GPU-a", 3, 7)}).tick(0, d0=0).tick(10, d0=350)
    used = run(kept, "MIG-x", start_s=0, end_s=10)
    assert energy_j(used) == 1500
    assert hows(used) == {How.MODELLED}
    assert "3 of 7 slices" in used.sources["gpu"]


def test_mig_device_of_an_unknown_gpu_is_missing(tmp_path: Path) -> None:
    kept = Kept(tmp_path, (gpu("GPU-a"),)).tick(0, d0=0).tick(10, d0=350)
    used = run(kept, "MIG-y", start_s=0, end_s=10)
    assert hows(used) == {How.MISSING}
    assert used.coverage["gpu"] == 0
    assert "MIG" in used.sources["gpu"]


def test_wrapped_counter_goes_on(tmp_path: Path) -> None:
    full_uj = 65_532_610_987
    kept = Kept(tmp_path, (package(range_uj=full_uj),)).work(0, a1_1=0)
    kept.energy_uj["rapl:package-0"] = full_uj - 500 * J
    kept.read().work(40_000, a1_1=40_000)
    kept.energy_uj["rapl:package-0"] = 1500 * J
    used = run(kept.tick(10), start_s=0, end_s=10)
    assert energy_j(used, "cpu") == 2000


def test_gap_in_which_a_counter_may_wrap_twice_is_refused(tmp_path: Path) -> None:
    kept = Kept(tmp_path, (package(range_uj=65_532_610_987, limit_w=360),)).work(0, a1_1=0).tick(0, d0=0)
    kept.work(1000, a1_1=1000).tick(200, d0=100)
    used = run(kept, start_s=0, end_s=200)
    assert used.coverage["cpu"] == 0
    assert any("wrapped more than once" in note for note in used.notes)


def test_restart_of_the_host_is_a_gap(tmp_path: Path) -> None:
    kept = Kept(tmp_path, (gpu(),)).tick(0, d0=0).tick(10, d0=100)
    later = Kept(
        tmp_path, (gpu(),), boot="b0070000".replace("7", "8"), time_ms=kept.time_ms + 20_000, mono_ms=5
    )
    later.tick(0, d0=0).tick(10, d0=100)
    used = usage(tmp_path, "1.1", ["GPU-a"], NOON_MS, later.time_ms)
    assert energy_j(used) == 2000
    assert used.coverage["gpu"] == 0.5
    told = "the host was restarted between 2024-06-01 12:00:10 UTC and 2024-06-01 12:00:30 UTC"
    assert f"{told}: its energy in between is not known" in used.notes


def test_cpu_is_shared_by_cpu_time_and_idle_by_capacity(tmp_path: Path) -> None:
    kept = Kept(tmp_path, (model(idle_w=10, tdp_w=100),), cpus=4).work(0, a1_1=0).tick(0, d0=0)
    kept.work(20_000, a1_1=5000).tick(10, d0=55)  # half of the CPUs busy, a quarter of that ours
    used = run(kept, start_s=0, end_s=10)
    assert idle_j(used, "cpu") == 100 * 5000 / 40_000
    assert energy_j(used, "cpu") - idle_j(used, "cpu") == 450 * 5000 / 20_000
    assert hows(used, "cpu") == {How.MODELLED}


def test_cpu_time_of_a_run_that_begins_between_readings_is_all_its_own(tmp_path: Path) -> None:
    kept = Kept(tmp_path, (model(idle_w=0),)).tick(0, d0=0).work(4000, a1_1=4000).tick(10, d0=40)
    assert energy_j(run(kept, start_s=6, end_s=10), "cpu") == 400


def test_attempt_whose_cpu_time_was_not_read_is_missing_not_zero(tmp_path: Path) -> None:
    kept = Kept(tmp_path, (model(),)).tick(0, d0=0).tick(10, d0=50)
    used = run(kept, start_s=0, end_s=10)
    assert hows(used, "cpu") == {How.MISSING}
    assert any("CPU time was not read" in note for note in used.notes)


def test_without_readings_every_component_is_missing(tmp_path: Path) -> None:
    used = usage(tmp_path, "1.1", ["GPU-a"], NOON_MS, NOON_MS + 1000)
    assert used.coverage == {"gpu": 0, "cpu": 0, "dram": 0}
    assert {span.how for span in used.spans} == {How.MISSING}
    assert set(used.sources.values()) == {"no readings"}


def test_memory_without_a_counter_is_missing(tmp_path: Path) -> None:
    kept = Kept(tmp_path, (package(),)).work(0, a1_1=0).tick(0, d0=0).work(10, a1_1=10).tick(10, d0=50)
    used = run(kept, start_s=0, end_s=10)
    assert used.coverage["dram"] == 0
    assert used.sources["dram"] == "no dram meter"


def test_idle_draw_is_the_lowest_seen_whoever_ran(tmp_path: Path) -> None:
    kept = Kept(tmp_path, (gpu(),)).tick(0, d0=0).tick(10, d0=70).tick(10, d0=60).work(0, a1_1=0)
    kept.read("start 1.1").tick(10, d0=30).tick(10, d0=400)  # nothing draws less than when it idles
    used = run(kept, "GPU-a", start_s=20, end_s=40)
    assert idle_j(used) == 300 + 300
    assert energy_j(used) == 4300


def test_idle_draw_of_a_busy_host_is_the_lowest_seen(tmp_path: Path) -> None:
    kept = Kept(tmp_path, (gpu(),)).work(0, a1_1=0).tick(0, d0=0).tick(10, d0=90).tick(10, d0=400)
    assert idle_j(run(kept, "GPU-a", start_s=0, end_s=20)) == 1800


def test_idle_draw_of_eight_days_ago_is_forgotten(tmp_path: Path) -> None:
    kept = Kept(tmp_path, (gpu(),)).tick(0, d0=0).tick(10, d0=20)
    kept.tick(8 * 24 * 3600, d0=100).tick(10, d0=60).tick(10, d0=60)
    used = usage(tmp_path, "1.1", ["GPU-a"], kept.time_ms - 10_000, kept.time_ms)
    assert idle_j(used) == 600


def test_clock_that_was_set_back_changes_no_energy(tmp_path: Path) -> None:
    kept = Kept(tmp_path, (gpu(),)).tick(0, d0=0).work(0, a1_1=0)
    kept.tick(10, "start 1.1", d0=100).tick(10, d0=100)
    kept.time_ms -= 3_600_000
    kept.tick(10, d0=100).tick(10, "end 1.1", d0=100).tick(10, d0=100)
    start_ms = NOON_MS + 10_000
    used = usage(tmp_path, "1.1", ["GPU-a"], start_ms, kept.time_ms - 10_000)
    assert energy_j(used) == 3000
    assert (used.start_ms, used.end_ms) == (start_ms, start_ms + 30_000)
    assert all(start_ms <= span.start_ms < span.end_ms <= used.end_ms for span in used.spans)
    assert any("-3600 s" in note for note in used.notes)


def test_clock_that_was_set_forward_changes_no_energy(tmp_path: Path) -> None:
    kept = Kept(tmp_path, (gpu(),)).tick(0, d0=0).tick(10, "start 1.1", d0=100)
    kept.time_ms += 90_000
    kept.tick(10, "end 1.1", d0=100)
    used = usage(tmp_path, "1.1", ["GPU-a"], NOON_MS + 10_000, kept.time_ms)
    assert (energy_j(used), used.end_ms - used.start_ms) == (1000, 10_000)


def test_replayed_time_scales_times_but_never_joules(tmp_path: Path) -> None:
    clock = Clock(real_ms=1, replay_ms=2, factor=360.0)
    kept = Kept(tmp_path, (gpu(), model(idle_w=10)), clock=clock, interval_ms=1000)
    kept.tick(0, d0=0, d1=0).tick(10, d0=60, d1=10).work(0, a1_1=0).read("start 1.1")
    kept.work(20_000, a1_1=20_000).tick(10, "end 1.1", d0=100, d1=50)
    used = usage(tmp_path, "1.1", ["GPU-a"], kept.time_ms - 3_600_000, kept.time_ms)
    assert (energy_j(used), idle_j(used)) == (1000, 600)
    assert energy_j(used, "cpu") == 400 + 50
    assert used.notes == ("dram: no dram meter", "components only: node overhead not measured")


def test_torn_line_is_passed_over_and_does_not_spoil_the_next(tmp_path: Path) -> None:
    kept = Kept(tmp_path, (gpu(),)).tick(0, d0=0).tick(10, d0=100)
    path = next(tmp_path.glob("*.jsonl"))
    with path.open("ab") as file:
        file.write(b'{"time_ms":17172432300')  # a crash in the middle of a line
    after = Kept(tmp_path, (gpu(),), time_ms=kept.time_ms, mono_ms=kept.mono_ms, energy_uj=kept.energy_uj)
    after.tick(10, d0=100).tick(10, d0=100)
    used = run(kept, "GPU-a", start_s=0, end_s=30)
    assert (energy_j(used), used.coverage["gpu"]) == (3000, 1.0)


def test_digest_is_of_the_stored_lines(tmp_path: Path) -> None:
    kept = (
        Kept(tmp_path, (gpu(), model())).tick(0, d0=0, d1=0).tick(10, d0=100, d1=10).tick(10, d0=100, d1=10)
    )
    stored = next(tmp_path.glob("*.jsonl")).read_bytes().splitlines(keepends=True)
    used = run(kept, "GPU-a", start_s=0, end_s=10)
    # The header, and the readings from the last before the start to the first after the end.
    assert used.digest == hashlib.sha256(b"".join(stored)).hexdigest()


def test_run_over_midnight_reads_both_files(tmp_path: Path) -> None:
    kept = Kept(tmp_path, (gpu(),), time_ms=NOON_MS + 12 * 3_600_000 - 15_000).tick(0, d0=0)
    for _ in range(3):
        kept.tick(10, d0=100)
    assert len(list(tmp_path.glob("*.jsonl"))) == 2
    used = usage(tmp_path, "1.1", ["GPU-a"], kept.time_ms - 30_000, kept.time_ms)
    assert (energy_j(used), used.coverage["gpu"]) == (3000, 1.0)


def test_gaps_are_silences_of_more_than_two_intervals(tmp_path: Path) -> None:
    Kept(tmp_path, (gpu(),)).tick(0).tick(10).tick(20).tick(21).tick(10)
    at_ms = [NOON_MS + seconds * 1000 for seconds in (0, 30, 51, 61)]
    assert gaps(tmp_path, NOON_MS, at_ms[3], 10) == ((at_ms[1], at_ms[2]),)
    assert gaps(tmp_path, NOON_MS - 60_000, at_ms[3] + 60_000, 10.5) == (
        (NOON_MS - 60_000, NOON_MS),
        (at_ms[3], at_ms[3] + 60_000),
    )
    assert gaps(tmp_path / "none", 0, 1000, 10) == ((0, 1000),)


def test_clock_that_was_set_back_over_many_readings_changes_no_energy(tmp_path: Path) -> None:
    kept = Kept(tmp_path, (gpu(),), interval_ms=1000, power_mw={"gpu:GPU-a": 100_000}).work(0, a1_1=0)
    kept.tick(0, d0=0)
    for _ in range(300):
        kept.tick(1, d0=100)
    start_ms = kept.read("start 1.1").time_ms
    for step_ms in (-3_600_000, 7_200_000, -3_600_000, 0):
        for _ in range(300):
            kept.tick(1, d0=100)
        kept.time_ms += step_ms
    kept.read("end 1.1")
    used = usage(tmp_path, "1.1", ["GPU-a"], start_ms, kept.time_ms)
    assert (energy_j(used), used.coverage["gpu"]) == (120_000, 1.0)
    assert (len(used.columns("gpu")), len(used.notes)) == (1200, 6)
    for _ in range(600):
        kept.tick(1, d0=100)
    assert tuple(usage(tmp_path, "1.1", ["GPU-a"], start_ms, used.end_ms).spans) == tuple(used.spans)


def test_short_run_among_many_readings_is_what_its_own_readings_say(tmp_path: Path) -> None:
    kept = Kept(tmp_path / "all", (gpu(),), interval_ms=1000, power_mw={"gpu:GPU-a": 100_000}).work(0, a1_1=0)
    kept.tick(0, d0=0)
    for _ in range(700):
        kept.tick(1, d0=100)
    start_ms, end_ms = NOON_MS + 450_300, NOON_MS + 452_700
    used = usage(kept.folder, "1.1", ["GPU-a"], start_ms, end_ms)
    assert energy_j(used) == 240
    assert export(kept.folder, tmp_path / "own", start_ms, end_ms, "1.1") == used.digest
    assert usage(tmp_path / "own", "1.1", ["GPU-a"], start_ms, end_ms, idle_mw=used.idle_mw) == used


def test_readings_of_the_next_job_change_nothing_of_a_run_that_has_been_read_out(tmp_path: Path) -> None:
    kept = Kept(tmp_path, (gpu(),)).tick(0, d0=0)
    for _ in range(6):
        kept.tick(10, d0=400)
    kept.tick(1, cause="end 1.1", d0=400)
    first = run(kept, "GPU-a", start_s=0, end_s=60.5)
    kept.tick(10, d0=50).tick(10, d0=50).tick(10, d0=50)
    read_out = run(kept, "GPU-a", start_s=0, end_s=60.5)
    assert first.digest != read_out.digest  # the meter's next readings belong to what it rests on
    kept.tick(600, d0=50).tick(10, d0=400)
    assert run(kept, "GPU-a", start_s=0, end_s=60.5) == read_out


def test_late_readings_are_none_of_a_run_after_which_the_meter_was_stopped(tmp_path: Path) -> None:
    kept = Kept(tmp_path, (gpu(),)).tick(0, d0=0).tick(10, d0=400).tick(1, cause="end 1.1", d0=400)
    before = run(kept, "GPU-a", start_s=0, end_s=10.5)
    kept.tick(3600, d0=50).tick(10, d0=50)
    assert run(kept, "GPU-a", start_s=0, end_s=10.5) == before
