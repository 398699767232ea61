"""What a job emitted and saved, against numbers worked out by hand."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from tidewatt.backends.clock import time_ms
from tidewatt.backends.meters.reading import How, Span, Usage
from tidewatt.forecasting.kind import Basis, Boundary, Kind, Signal
from tidewatt.forecasting.series import Series, Steps
from tidewatt.scheduler.accounting.metered import Move
from tidewatt.scheduler.accounting.pairs import Efficiency
from tidewatt.scheduler.accounting.phases import Phase, Progress, Stretch
from tidewatt.scheduler.accounting.receipt import Ledger, Settlement
from tidewatt.scheduler.accounting.settlement import AttemptRun, Frozen, Observations, settle
from tidewatt.scheduler.errors import SchedulerError
from tidewatt.scheduler.jobs import SettlementState

DAY = datetime(2026, 3, 1, tzinfo=UTC)
MONTH_LATER = DAY + timedelta(days=30)
HOUR_UJ = 3_600_000_000  # one watt for an hour
Hourly = Mapping[tuple[str, str], tuple[int, Sequence[float]]]  # (zone, signal) -> first hour, g/kWh by hour


def at(hour: float) -> datetime:
    return DAY + timedelta(hours=hour)


def ms(hour: float) -> int:
    return time_ms(at(hour))


def frozen(submitted_h: float, pue: float = 1.0, signal: str = "average", **zones: Any) -> Frozen:
    return Frozen("local", zones, pue, "assumed", at(submitted_h), signal, gpus=1)


def span(start_h: float, end_h: float, active_w: float, idle_w: float = 0, component: str = "gpu") -> Span:
    hours = end_h - start_h
    active, idle = round(active_w * hours * HOUR_UJ), round(idle_w * hours * HOUR_UJ)
    return Span(ms(start_h), ms(end_h), component, How.MEASURED, active, idle)


def run(
    spans: Sequence[Span],
    start_h: float,
    end_h: float,
    *,
    number: int = 1,
    region: str = "local",
    pue: float = 1.0,
    productive: bool = True,
    pauses: tuple[tuple[int, int], ...] = (),
    coverage: dict[str, float] | None = None,
    counts: dict[str, int] | None = None,
    efficiency: Efficiency | None = None,
    move: Move | None = None,
    **zones: Any,
) -> AttemptRun:
    covered = {each.component: 1.0 for each in spans} if coverage is None else coverage
    sources = {name: "NVML energy counter" if name == "gpu" else "RAPL" for name in covered}
    usage = Usage(f"7.{number}", ms(start_h), ms(end_h), tuple(spans), covered, sources, f"sha256:{number}")
    kept_until_ms = usage.end_ms if productive else usage.start_ms
    progress = Progress(tuple(stretches(usage, pauses)), kept_until_ms, counts or {})
    return AttemptRun(usage.attempt_id, region, zones, pue, "assumed", usage, progress, efficiency, move)


def stretches(usage: Usage, pauses: tuple[tuple[int, int], ...]) -> list[Stretch]:
    """Running, suspended in the given pauses."""
    edges = [usage.start_ms, *(edge for pause in pauses for edge in pause), usage.end_ms]
    phases = [Phase.RUNNING, *([Phase.SUSPENDED, Phase.RUNNING] * len(pauses))]
    return [
        Stretch(phase, start_ms, end_ms)
        for phase, (start_ms, end_ms) in zip(phases, pairwise(edges), strict=True)
    ]


def observed(hourly: Hourly, source: str = "file grid.csv", basis: Basis = Basis.LIFECYCLE) -> Observations:
    def observations(zone: str, signal: str, start: datetime, end: datetime) -> Series | None:
        if (zone, signal) not in hourly:
            return None
        first, values = hourly[zone, signal]
        starts = np.array([ms(first + hour) for hour in range(len(values))], dtype=np.int64)
        inside = (starts < time_ms(end)) & (starts + 3_600_000 > time_ms(start))
        steps = Steps(starts[inside], starts[inside] + 3_600_000, np.array(values, dtype=float)[inside])
        kind = Kind(Signal(signal), basis, Boundary.PRODUCTION)
        return Series(zone, kind, source.replace("ZONE", zone), steps)

    return observations


def account(settlement: Settlement, signal: str = "average") -> Ledger:
    return next(ledger for ledger in settlement.ledgers if ledger.signal == signal)


def saved_g(settlement: Settlement, signal: str = "average") -> float | None:
    saved = account(settlement, signal).saved_feasible_ug
    return None if saved is None else saved / 1e6


EXAMPLE = {
    ("DE", "average"): (10, (400, 450, 420, 300, 150, 100)),
    ("DE", "marginal"): (10, (500, 500, 500, 600, 600, 600)),
}


def settled_example() -> Settlement:
    """The job of docs/savings.md: two hours, submitted at 10:00, GPU free at 11:00, run at 14:00."""
    metered = run(
        [span(14, 15, 240, 60), span(15, 16, 120, 60)], 14, 16, pue=1.2, average="DE", marginal="DE"
    )
    return settle(
        frozen(10, 1.2, average="DE", marginal="DE"), [metered], at(11), observed(EXAMPLE), MONTH_LATER
    )


def test_job_that_started_in_turn_saved_exactly_nothing() -> None:
    metered = run([span(10, 11, 97, 3), span(11, 11.7, 211.3, 3)], 10, 11.7, pue=1.37, average="DE")
    settlement = settle(frozen(10, 1.37, average="DE"), [metered], at(10), observed(EXAMPLE), MONTH_LATER)
    assert account(settlement).saved_feasible_ug == account(settlement).saved_hypothetical_ug == 0
    assert settlement.idle_gpu_ms == 0


def test_waiting_for_a_dirtier_hour_is_a_negative_saving() -> None:
    metered = run([span(11, 12, 100)], 11, 12, average="DE")
    settlement = settle(frozen(10, average="DE"), [metered], at(10), observed(EXAMPLE), MONTH_LATER)
    assert saved_g(settlement) == pytest.approx(-5.0)


def test_baseline_is_paid_with_the_zone_and_pue_of_home() -> None:
    hourly = {("DE", "average"): (10, (400.0,) * 6), ("FR", "average"): (10, (50.0,) * 6)}
    abroad = run([span(12, 13, 100)], 12, 13, region="paris", pue=1.5, average="FR")
    settlement = settle(frozen(10, 1.1, average="DE"), [abroad], at(10), observed(hourly), MONTH_LATER)
    assert account(settlement).actual_ug == 7_500_000
    assert account(settlement).feasible_ug == 44_000_000
    assert settlement.pue_micro == 1_500_000


@pytest.mark.parametrize(
    ("edited", "said"),
    [
        (
            {"pue": 1.1, "average": "DE"},
            "the PUE of local was edited after the job was submitted (1.58 to 1.1)",
        ),
        ({"pue": 1.58, "average": "FR"}, "the zones of local were edited .*average DE to average FR"),
    ],
)
def test_editing_home_while_a_job_waits_saves_nothing(edited: dict[str, Any], said: str) -> None:
    flat = {("DE", "average"): (0, (400,) * 24), ("FR", "average"): (0, (50,) * 24)}
    ran = run([span(12, 13, 300)], 12, 13, **edited)
    settlement = settle(frozen(10, pue=1.58, average="DE"), [ran], at(10), observed(flat), MONTH_LATER)
    assert saved_g(settlement) == 0
    levers = account(settlement).levers
    assert levers is not None
    assert levers.region_ug == 0
    assert any(re.search(said.replace("(", r"\(").replace(")", r"\)"), note) for note in settlement.notes)


def test_gap_between_attempts_is_not_in_the_baseline() -> None:
    first = run([span(12, 13, 100)], 12, 13, average="DE")
    second = run([span(15, 16, 200)], 15, 16, number=2, average="DE")
    settlement = settle(frozen(10, average="DE"), [second, first], at(10), observed(EXAMPLE), MONTH_LATER)
    assert account(settlement).actual_ug == (42 + 20) * 1_000_000
    assert account(settlement).feasible_ug == (40 + 90) * 1_000_000


def test_work_that_was_lost_counts_as_actual_only() -> None:
    lost = run([span(10, 11, 100)], 10, 11, productive=False, average="DE")
    kept = run([span(14, 15, 100)], 14, 15, number=2, average="DE")
    settlement = settle(frozen(10, average="DE"), [lost, kept], at(10), observed(EXAMPLE), MONTH_LATER)
    assert account(settlement).actual_ug == (40 + 15) * 1_000_000
    assert account(settlement).feasible_ug == 40_000_000


def test_pause_inside_an_attempt_is_actual_only() -> None:
    pause = (ms(11), ms(14))
    stopped = run([span(10, 15, 100)], 10, 15, pauses=(pause,), average="DE")
    settlement = settle(frozen(10, average="DE"), [stopped], at(10), observed(EXAMPLE), MONTH_LATER)
    assert account(settlement).actual_ug == pytest.approx(172_000_000)
    assert account(settlement).feasible_ug == pytest.approx(85_000_000)


def test_idle_draw_is_attributed_but_cannot_be_saved() -> None:
    idle_only = run([span(14, 15, 0, 60)], 14, 15, average="DE")
    settlement = settle(frozen(10, average="DE"), [idle_only], at(10), observed(EXAMPLE), MONTH_LATER)
    assert account(settlement).emissions_ug == 9_000_000
    assert account(settlement).saved_feasible_ug == 0


@pytest.mark.parametrize(
    ("now_h", "last_hour", "predecessors_ended", "state"),
    [
        (16, 15, True, SettlementState.NONE),
        (16, 16, True, SettlementState.PROVISIONAL),
        (39.9, 16, True, SettlementState.PROVISIONAL),
        (40, 16, True, SettlementState.FINAL),
        (40, 16, False, SettlementState.PROVISIONAL),
        (40, 15, True, SettlementState.NONE),
        (16 + 7 * 24 - 0.1, 15, True, SettlementState.NONE),
        (16 + 7 * 24, 15, True, SettlementState.UNVERIFIED),
    ],
)
def test_account_opens_closes_or_is_given_up(
    now_h: float, last_hour: int, predecessors_ended: bool, state: SettlementState
) -> None:
    values = EXAMPLE["DE", "average"][1][: last_hour - 10]
    settlement = settle(
        frozen(10, average="DE"),
        [run([span(14, 16, 100)], 14, 16, average="DE")],
        at(11),
        observed({("DE", "average"): (10, values)}),
        at(now_h),
        predecessors_ended=predecessors_ended,
    )
    assert settlement.state is state
    assert settlement.energy_uj == 200 * HOUR_UJ
    assert bool(settlement.ledgers) == (state in {SettlementState.PROVISIONAL, SettlementState.FINAL})


def test_hole_in_the_baseline_keeps_the_account_open_and_says_where() -> None:
    hourly = {("DE", "average"): (12, (420, 300, 150, 100))}
    job = [run([span(14, 15, 100)], 14, 15, average="DE")]
    settlement = settle(frozen(10, average="DE"), job, at(11), observed(hourly), at(17))
    assert settlement.state is SettlementState.NONE
    assert "average: not all observations of DE from 2026-03-01 11:00 to 2026-03-01 12:00 UTC are there" in (
        settlement.notes
    )


def test_unverified_job_still_shows_what_it_emitted_where_that_is_known() -> None:
    hourly = {("DE", "average"): (12, (420, 300, 150, 100))}
    job = [run([span(14, 15, 100)], 14, 15, average="DE")]
    settlement = settle(frozen(10, average="DE"), job, at(11), observed(hourly), MONTH_LATER)
    assert settlement.state is SettlementState.UNVERIFIED
    assert account(settlement).emissions_ug == 15_000_000
    assert saved_g(settlement) is None


def test_without_a_zone_energy_is_shown_and_carbon_is_not() -> None:
    settlement = settle(frozen(10), [run([span(14, 15, 100, 20)], 14, 15)], at(11), observed(EXAMPLE), at(16))
    assert settlement.state is SettlementState.UNVERIFIED
    assert settlement.energy_uj == 120 * HOUR_UJ
    assert settlement.ledgers == ()
    assert any("no zone is configured" in note for note in settlement.notes)


def test_deciding_signal_is_waited_for() -> None:
    both: dict[str, Any] = {"average": "DE", "marginal": "DE"}
    only_average = {("DE", "average"): EXAMPLE["DE", "average"]}
    job = [run([span(14, 15, 100)], 14, 15, **both)]
    waiting = settle(frozen(10, signal="marginal", **both), job, at(11), observed(only_average), at(16))
    assert waiting.state is SettlementState.NONE
    overdue = settle(frozen(10, signal="marginal", **both), job, at(11), observed(only_average), MONTH_LATER)
    assert overdue.state is SettlementState.FINAL
    assert [ledger.signal for ledger in overdue.ledgers] == ["average"]
    by_average = settle(frozen(10, **both), job, at(11), observed(only_average), at(16))
    assert by_average.state is SettlementState.PROVISIONAL


def test_signal_without_a_zone_is_not_waited_for() -> None:
    job = [run([span(14, 15, 100)], 14, 15, average="DE")]
    settlement = settle(frozen(10, signal="marginal", average="DE"), job, at(11), observed(EXAMPLE), at(16))
    assert settlement.state is SettlementState.PROVISIONAL


def test_two_sources_are_never_subtracted() -> None:
    hourly = {("DE", "average"): (10, (400.0,) * 6), ("FR", "average"): (10, (50.0,) * 6)}
    abroad = run([span(12, 13, 100)], 12, 13, region="paris", average="FR")
    settlement = settle(
        frozen(10, average="DE"), [abroad], at(10), observed(hourly, "file ZONE.csv"), MONTH_LATER
    )
    assert settlement.state is SettlementState.UNVERIFIED
    assert any("different sources (file DE.csv; file FR.csv)" in note for note in settlement.notes)


def test_two_kinds_are_never_subtracted() -> None:
    def observations(zone: str, signal: str, start: datetime, end: datetime) -> Series | None:
        basis = Basis.DIRECT if zone == "FR" else Basis.LIFECYCLE
        return observed({(zone, "average"): (10, (100.0,) * 6)}, basis=basis)(zone, signal, start, end)

    abroad = run([span(12, 13, 100)], 12, 13, region="paris", average="FR")
    settlement = settle(frozen(10, average="DE"), [abroad], at(10), observations, MONTH_LATER)
    assert settlement.ledgers == ()
    assert any("different kinds" in note for note in settlement.notes)
    assert settlement.state is SettlementState.UNVERIFIED


def test_a_source_that_is_late_for_one_zone_closes_no_account() -> None:
    def observations(zone: str, signal: str, start: datetime, end: datetime) -> Series | None:
        basis = Basis.DIRECT if zone == "FR" and not come else Basis.LIFECYCLE
        return observed({(zone, "average"): (10, (100.0,) * 6)}, basis=basis)(zone, signal, start, end)

    abroad = run([span(12, 13, 100)], 12, 13, region="paris", average="FR")
    come = False
    early = settle(frozen(10, average="DE"), [abroad], at(10), observations, at(16))
    assert early.state is SettlementState.NONE
    assert any("different kinds" in note for note in early.notes)
    come = True
    later = settle(frozen(10, average="DE"), [abroad], at(10), observations, at(17))
    assert later.state is SettlementState.PROVISIONAL


def test_home_that_could_never_hold_the_job_gives_no_feasible_baseline() -> None:
    job = [run([span(14, 15, 100)], 14, 15, average="DE")]
    settlement = settle(frozen(10, average="DE"), job, None, observed(EXAMPLE), at(16))
    assert settlement.state is SettlementState.UNVERIFIED
    assert account(settlement).feasible_ug is None
    assert account(settlement).saved_hypothetical_ug == 25_000_000
    assert settlement.held_back_ms is None


def test_job_that_ran_before_its_turn_left_no_gpu_idle() -> None:
    job = [run([span(11, 12, 100)], 11, 12, average="DE")]
    settlement = settle(frozen(10, average="DE"), job, at(14), observed(EXAMPLE), MONTH_LATER)
    assert settlement.held_back_ms == -3 * 3_600_000
    assert settlement.idle_gpu_ms == 0
    assert saved_g(settlement) == pytest.approx(15.0 - 45.0)


def test_component_without_readings_is_missing_and_not_zero() -> None:
    metered = run([span(14, 15, 100)], 14, 15, coverage={"gpu": 0.5, "dram": 0.0}, average="DE")
    settlement = settle(frozen(10, average="DE"), [metered], at(10), observed(EXAMPLE), MONTH_LATER)
    dram, gpu = settlement.components
    assert (dram.how, dram.energy_uj, dram.active_uj, dram.coverage_ppm) == (How.MISSING, None, None, 0)
    assert gpu.coverage_ppm == 500_000
    assert "dram: not metered, so not in any number here" in settlement.notes
    assert "gpu: metered for 50.0 % of the run, the rest is in no number here" in settlement.notes


def test_job_of_which_nothing_was_metered_has_no_energy_and_no_carbon() -> None:
    blind = run([], 14, 15, coverage={"gpu": 0.0}, average="DE")
    settlement = settle(frozen(10, average="DE"), [blind], at(10), observed(EXAMPLE), at(16))
    assert settlement.energy_uj is None
    assert settlement.facility_uj is None
    assert settlement.state is SettlementState.UNVERIFIED
    assert settlement.view().energy_j is None


def test_component_is_modelled_as_soon_as_a_part_of_it_is() -> None:
    modelled = Span(ms(15), ms(16), "cpu", How.MODELLED, 10, 0)
    metered = run([span(14, 15, 100, component="cpu"), modelled], 14, 16, average="DE")
    settlement = settle(frozen(10, average="DE"), [metered], at(10), observed(EXAMPLE), MONTH_LATER)
    assert settlement.components[0].how is How.MODELLED


def test_job_that_never_ran_is_final_with_nothing_used() -> None:
    settlement = settle(frozen(10, average="DE"), [], None, observed(EXAMPLE), at(10))
    assert settlement.state is SettlementState.FINAL
    assert settlement.energy_uj == settlement.facility_uj == 0
    assert not settlement.ran


def test_pue_of_several_regions_is_weighted_by_energy() -> None:
    first = run([span(10, 11, 100)], 10, 11, pue=1.0, productive=False, average="DE")
    second = run([span(14, 15, 300)], 14, 15, number=2, region="south", pue=1.4, average="DE")
    settlement = settle(frozen(10, average="DE"), [first, second], at(10), observed(EXAMPLE), MONTH_LATER)
    assert settlement.facility_uj == 520 * HOUR_UJ
    assert settlement.pue_micro == 1_300_000


def test_record_is_integers_and_strings_and_restores_the_settlement() -> None:
    job = [run([span(14, 15, 100)], 14, 15, coverage={"gpu": 1, "cpu": 0}, average="DE")]
    unheld = settle(frozen(10, average="DE"), job, None, observed(EXAMPLE), at(16))
    for settlement in (settled_example(), unheld):
        record = settlement.record()
        _assert_plain(record)
        assert Settlement.restored(record) == settlement


METHOD_1: dict[str, Any] = {
    "settled_at_ms": 1772409600000,
    "state": "final",
    "method_version": "1",
    "energy_uj": 1728000000000,
    "facility_uj": 2073600000000,
    "pue_micro": 1200000,
    "pue_source": "assumed",
    "components": [
        {
            "component": "gpu",
            "how": "measured",
            "source": "NVML energy counter",
            "energy_uj": 1728000000000,
            "active_uj": 1296000000000,
            "coverage_ppm": 1000000,
        }
    ],
    "ledgers": [
        {
            "signal": "average",
            "source": "file grid.csv",
            "kind": "average, lifecycle, production, CO2eq",
            "emissions_ug": 75600000,
            "actual_ug": 57600000,
            "feasible_ug": 190080000,
            "hypothetical_ug": 180000000,
        }
    ],
    "waited_ms": 14400000,
    "held_back_ms": 10800000,
    "idle_gpu_ms": 10800000,
    "feasible_start_ms": 1772362800000,
    "digests": {"7.1": "sha256:1"},
    "notes": [],
}


def test_record_of_method_1_still_reads_and_claims_nothing_new() -> None:
    settlement = Settlement.restored(METHOD_1)
    assert settlement.record() == {
        **METHOD_1,
        "components": [METHOD_1["components"][0] | {"modelled_uj": 0}],
    }
    (ledger,) = settlement.view().ledgers
    assert (ledger.saved_feasible_g, ledger.levers, ledger.interval) == (132.48, None, None)
    assert not settlement.profile
    assert not settlement.phases
    assert settlement.view().method_version == "1"


def test_job_submitted_under_an_earlier_method_is_told_by_which_one_it_was_settled() -> None:
    earlier = replace(frozen(10, average="DE"), method_version="1")
    job = [run([span(14, 15, 100)], 14, 15, average="DE")]
    settlement = settle(earlier, job, at(11), observed(EXAMPLE), MONTH_LATER)
    assert settlement.method_version == "2"
    assert "settled by method 2; method 1 was current at submit" in settlement.notes


def test_node_overhead_that_was_metered_is_within_the_boundary() -> None:
    spans = [span(14, 15, 100), span(14, 15, 30, component="node overhead")]
    job = [run(spans, 14, 15, average="DE")]
    settlement = settle(frozen(10, average="DE"), job, at(11), observed(EXAMPLE), MONTH_LATER)
    assert settlement.boundary.startswith("components and node overhead: ")
    assert settlement.energy_uj == 130 * HOUR_UJ


def test_settling_again_restates_only_where_something_changed() -> None:
    job = [run([span(14, 16, 100)], 14, 16, average="DE")]
    earlier = settle(frozen(10, average="DE"), job, at(11), observed(EXAMPLE), MONTH_LATER)
    hour_later = MONTH_LATER + timedelta(hours=1)
    again = settle(frozen(10, average="DE"), job, at(11), observed(EXAMPLE), hour_later)
    assert not again.restates(earlier)
    revised = {("DE", "average"): (10, (401, 450, 420, 300, 150, 100))}
    assert settle(frozen(10, average="DE"), job, at(11), observed(revised), hour_later).restates(earlier)


def test_account_that_waits_says_nothing_new_with_every_step_that_comes_in() -> None:
    job = [run([span(14, 16, 100)], 14, 16, average="DE")]
    looks = [
        settle(
            frozen(10, average="DE"),
            job,
            at(11),
            observed({("DE", "average"): (10, EXAMPLE["DE", "average"][1][:known])}),
            at(16),
        )
        for known in (2, 5)
    ]
    assert [each.state for each in looks] == [SettlementState.NONE, SettlementState.NONE]
    assert not looks[1].restates(looks[0])
    assert sum(cell.active_uj for cell in looks[0].profile) == 200 * HOUR_UJ


def test_saving_stands_where_only_its_levers_cannot_be_known_yet() -> None:
    hourly = {("DE", "average"): (10, (400.0,)), ("FR", "average"): (10, (50.0,) * 6)}
    abroad = run([span(13, 14, 100)], 13, 14, region="paris", average="FR")
    settlement = settle(frozen(10, average="DE"), [abroad], at(10), observed(hourly), at(16))
    assert settlement.state is SettlementState.PROVISIONAL
    assert saved_g(settlement) == 35.0
    assert account(settlement).levers is None


def test_frozen_baseline_survives_being_written_down() -> None:
    written = frozen(10, 1.15, signal="marginal", average="DE", marginal="WT:X")
    assert Frozen.restored(json.loads(json.dumps(written.record()))) == written
    _assert_plain(written.record())


@pytest.mark.parametrize("lacking", ["home_pue_micro", "home_zones", "submitted_ms"])
def test_damaged_frozen_baseline_is_told(lacking: str) -> None:
    record = frozen(10, average="DE").record()
    del record[lacking]
    with pytest.raises(SchedulerError, match=lacking):
        Frozen.restored(record)


@pytest.mark.parametrize("pue", [0.0, 0.99, float("nan"), float("inf"), -1.2])
def test_impossible_pue_is_refused(pue: float) -> None:
    with pytest.raises(SchedulerError, match="PUE"):
        frozen(10, pue)
    with pytest.raises(SchedulerError, match="region local"):
        run([], 10, 11, pue=pue)


def test_view_is_in_joules_grams_and_seconds() -> None:
    view = settled_example().view()
    assert (view.energy_j, view.facility_j, view.pue) == (1_728_000.0, 2_073_600.0, 1.2)
    assert view.ledgers[0].saved_feasible_g == pytest.approx(132.48)
    assert (view.waited_s, view.held_back_s, view.idle_gpu_s) == (14_400.0, 10_800.0, 10_800.0)


def _assert_plain(value: object) -> None:
    match value:
        case dict():
            for key, each in value.items():
                assert type(key) is str
                _assert_plain(each)
        case list():
            for each in value:
                _assert_plain(each)
        case _:
            assert type(value) in {int, str}, value
