"""The simulated clock: hard capacity, honest accounts, and nobody who sees the future."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from tests.simulated import CLEAN_DAYS, DIRTY_DAYS, HOUR_MS, at, job, provider, region, small
from tidewatt.forecasting.chain import Chain
from tidewatt.forecasting.kind import Signal
from tidewatt.scheduler.errors import BadInput
from tidewatt.scheduler.plan import GpuKind, Pausing, Window
from tidewatt.scheduler.planning.policy import Link, Policy
from tidewatt.scheduler.region import Pool
from tidewatt.scheduler.simulation.comparing import Outcome, Scenario, compare
from tidewatt.scheduler.simulation.setting import Pace, Site, scenario
from tidewatt.scheduler.simulation.submitted import Submitted, ordered

MINUTES_5 = Pausing(checkpoint=timedelta(minutes=5), restart=timedelta(minutes=10))


def ran(scenario: Scenario, *names: str) -> dict[str, Outcome]:
    return compare(scenario, names)


def starts(outcome: Outcome) -> list[float]:
    """Hours after the first job may come at which each started, by number."""
    first = at(0).timestamp() * 1000
    return [round((each.first_ms - first) / HOUR_MS, 4) for each in outcome.standings if each.first_ms]


def grams(outcome: Outcome) -> float:
    return outcome.tally.grams[Signal.AVERAGE]


def test_immediate_execution_starts_jobs_in_order_as_gpus_become_free() -> None:
    told = small([job(1, 2), job(2, 1, comes=0.5), job(3, 1, comes=0.6)], [region("DE", 1)])
    assert starts(ran(told)["immediate"]) == [0, 2, 3]


def test_emissions_are_power_times_time_times_what_was_observed_and_pue() -> None:
    told = small([job(1, 2, comes=17)], [region("DE", 1, pue=1.5)])
    found = ran(told)["immediate"]
    assert grams(found) == pytest.approx(1.5 * (400 + 100))
    assert found.tally.energy_kwh == pytest.approx(1.5 * 2)


def test_a_job_is_never_split_over_two_nodes() -> None:
    pools = (Pool("GPU", 4, node_gpus=2),)
    told = small([job(1, 1, gpus=1), job(2, 1, gpus=2), job(3, 1, gpus=2)], [region("DE", 4, pools=pools)])
    assert starts(ran(told)["immediate"]) == [0, 0, 1]


def test_nothing_runs_into_closed_hours() -> None:
    closed = (Window(at(1), at(5)),)
    told = small([job(1, 2, slack=24)], [region("DE", 1, closed=closed)])
    found = ran(told, "ours")
    assert starts(found["immediate"]) == [5]
    assert starts(found["ours"])[0] >= 5


def test_the_power_limit_holds_for_all_jobs_of_a_region_together() -> None:
    told = small([job(1, 1), job(2, 1)], [region("DE", 8, power_limit_kw=1.5)])
    assert starts(ran(told)["immediate"]) == [0, 1]


def test_a_job_waits_for_those_that_it_comes_after() -> None:
    jobs = [job(1, 2), job(2, 1, after=(1,)), job(3, 1)]
    found = ran(small(jobs, [region("DE", 2)]), "ours", "own window")
    assert starts(found["immediate"]) == [0, 2, 0]
    for outcome in found.values():
        first, second, _ = outcome.standings
        assert second.first_ms is not None
        assert first.ended_ms is not None
        assert second.first_ms >= first.ended_ms


def test_of_an_array_so_many_run_at_a_time() -> None:
    tasks = [job(number, 1, array="7", array_limit=2) for number in (1, 2, 3)]
    assert starts(ran(small(tasks, [region("DE", 8)]))["immediate"]) == [0, 0, 1]


def test_a_faster_kind_of_gpu_shortens_the_run_and_draws_its_own_power() -> None:
    fast = job(1, 2, comes=20, kinds=(GpuKind("h100", speed=2.0, power=1.5),))
    told = small([fast], [region("DE", 1, pools=(Pool("NVIDIA H100", 1),))])
    found = ran(told)["immediate"]
    assert found.standings[0].ended_ms == round(at(21).timestamp() * 1000)
    assert grams(found) == pytest.approx(1.5 * 100)


def test_pauses_cost_a_checkpoint_and_a_restart_each() -> None:
    jobs = [job(1, 6, comes=4, slack=20, pausing=MINUTES_5)]
    outcome = ran(small(jobs, [region("DE", 1)]), "suspend-resume")["suspend-resume"]
    standing = outcome.standings[0]
    held = sum(each.end_ms - each.start_ms for each in standing.stretches)
    assert outcome.tally.pauses == 1
    assert held == 6 * HOUR_MS + 15 * 60_000


def test_ours_runs_a_job_in_the_hours_that_were_forecast_to_be_clean() -> None:
    told = small([job(1, 3, comes=7)], [region("DE", 1)])
    found = ran(told, "ours")
    assert found["immediate"].tally.grams[Signal.AVERAGE] == pytest.approx(1200)
    assert grams(found["ours"]) == pytest.approx(300)


def test_ours_moves_a_job_to_where_it_is_clean_now() -> None:
    told = small([job(1, 3, comes=7, slack=2)], [region("DE", 1), region("GB", 1)], {"GB": CLEAN_DAYS})
    found = ran(told, "ours")["ours"]
    assert grams(found) == pytest.approx(300)
    assert found.tally.moved == 1


def test_a_job_starts_elsewhere_when_its_data_have_come_and_their_journey_is_charged() -> None:
    link = Link(gbit_per_s=1.0, kwh_per_gb=0.001)
    jobs = [job(1, 3, comes=7, slack=4, data_gb=450.0)]  # an hour on the way, 0.45 kWh
    told = small(
        jobs, [region("DE", 1, pue=1.5), region("GB", 1)], {"GB": CLEAN_DAYS}, link=link, min_saving=0.0
    )
    found = ran(told, "ours")["ours"]
    standing = found.standings[0]
    assert found.tally.moved == 1
    assert standing.first_ms == round(at(8).timestamp() * 1000)
    assert grams(found) == pytest.approx(3 * 100 + 0.45 * (400 + 100) / 2)


def test_ours_pauses_a_job_that_may_pause_over_dirty_hours() -> None:
    jobs = [job(1, 10, comes=2, slack=14, pausing=MINUTES_5)]
    found = ran(small(jobs, [region("DE", 1)]), "ours", "ours, in one piece")
    assert found["ours"].tally.pauses >= 1
    assert found["ours, in one piece"].tally.pauses == 0
    assert grams(found["ours"]) < grams(found["ours, in one piece"]) < grams(found["immediate"])
    assert found["ours"].tally.missed == 0


def test_a_plan_with_pauses_is_carried_out_to_its_last_stint() -> None:
    """Planned once and for all: nobody reminds the job of its second stint."""
    jobs = [job(1, 10, comes=2, slack=14, pausing=MINUTES_5)]
    found = ran(small(jobs, [region("DE", 1)]), "oracle of all")["oracle of all"]
    assert found.tally.pauses == 1
    assert grams(found) <= 10 * 100 + 100 + 400


def test_each_its_own_window_herds_and_misses_deadlines_that_ours_keeps() -> None:
    jobs = [job(number, 3, comes=7, slack=16, gpus=1) for number in range(1, 9)]
    found = ran(small(jobs, [region("DE", 2)]), "own window", "ours")
    assert found["own window"].tally.missed > 0
    assert found["ours"].tally.missed == 0
    assert grams(found["ours"]) < grams(found["immediate"])


def test_a_missed_deadline_is_avoidable_only_where_immediate_execution_met_it() -> None:
    jobs = [job(1, 4, slack=0.0), job(2, 4, slack=0.0)]
    found = ran(small(jobs, [region("DE", 1)]), "threshold", "ours")
    assert found["immediate"].tally.missed == 1
    assert found["immediate"].tally.avoidable == 0
    assert found["ours"].tally.missed == 1
    assert found["ours"].tally.avoidable == 0


def test_a_job_that_takes_longer_than_estimated_runs_to_its_end() -> None:
    jobs = [job(1, 2, comes=7, real=4), job(2, 2, comes=7, slack=20)]
    found = ran(small(jobs, [region("DE", 1)]), "ours")["ours"]
    assert [each.ended_ms is not None for each in found.standings] == [True, True]
    assert found.tally.energy_kwh == pytest.approx(6)


def test_the_oracle_plans_with_what_came_and_ours_only_with_what_was_known() -> None:
    """The clean hours move on the day of the job: only who sees the future knows it."""
    days = provider({"DE": DIRTY_DAYS})
    steps = days.series[0].steps
    from_then = steps.start_ms >= round(at(0).timestamp() * 1000)
    turned = np.where(from_then, 500 - steps.gco2_per_kwh, steps.gco2_per_kwh)
    days.series[0] = replace(days.series[0], steps=replace(steps, gco2_per_kwh=turned))
    told = _scenario(Chain([days]), [job(1, 3, comes=2, slack=20)])
    found = compare(told, ["ours", "oracle"])
    assert grams(found["oracle"]) == pytest.approx(300)
    assert grams(found["ours"]) > 300


def test_what_happens_later_changes_no_earlier_decision() -> None:
    """Two pasts that differ from an hour on: until then every start is the same."""
    jobs = [job(number, 2, comes=number * 0.7, slack=18) for number in range(1, 20)]
    turn = round(at(11).timestamp() * 1000)
    found: list[list[tuple[int, str]]] = []
    for factor in (1.0, 3.0):
        days = provider({"DE": DIRTY_DAYS, "GB": CLEAN_DAYS})
        for number, series in enumerate(days.series):
            steps = series.steps
            later = np.where(steps.start_ms >= turn, 30.0 * factor + 7, steps.gco2_per_kwh)
            days.series[number] = replace(series, steps=replace(steps, gco2_per_kwh=later))
        outcomes = compare(
            _scenario(Chain([days]), jobs), ["ours", "own window", "threshold", "suspend-resume"]
        )
        found.append(
            sorted(
                (each.first_ms, f"{name} {each.id} {each.stretches[0].region}")
                for name, outcome in outcomes.items()
                for each in outcome.standings
                if each.first_ms is not None and each.first_ms < turn
            )
        )
    assert len(found[0]) > 20
    assert found[0] == found[1]


def test_the_same_scenario_gives_the_same_outcome() -> None:
    jobs = [job(number, 1 + number % 3, comes=number * 0.4, slack=10) for number in range(1, 30)]
    told = small(jobs, [region("DE", 2), region("GB", 1)], {"GB": CLEAN_DAYS})
    once, again = (compare(told, ["ours", "own window", "suspend-resume"]) for _ in range(2))
    for name in once:
        assert [each.stretches for each in once[name].standings] == [
            each.stretches for each in again[name].standings
        ]


def test_what_was_not_observed_any_more_counts_at_the_mean_of_the_last_week() -> None:
    days = provider({"DE": DIRTY_DAYS}, count=10)
    told = _scenario(Chain([days]), [job(1, 4, comes=22)])
    found = compare(told, [])["immediate"]
    assert grams(found) == pytest.approx(2 * 100 + 2 * 250)
    assert found.tally.unobserved == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("broken", "sentence"),
    [
        (lambda: small([job(1, 1, gpus=9)], [region("DE", 2)]), "which no region can ever hold"),
        (lambda: small([job(1, 1), job(1, 2)], [region("DE", 2)]), "is there twice"),
        (lambda: small([job(1, 1, after=(5,))], [region("DE", 2)]), "waits for job 5"),
        (lambda: small([], [region("DE", 2)]), "no job to simulate"),
    ],
)
def test_impossible_jobs_are_refused_in_a_sentence(broken: Callable[[], Scenario], sentence: str) -> None:
    with pytest.raises(BadInput, match=sentence):
        compare(broken(), [])


def test_an_unknown_policy_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(BadInput, match="no policy 'best'; known are: immediate"):
        compare(small([job(1, 1)], [region("DE", 1)]), ["best"])


def _scenario(chain: Chain, jobs: list[Submitted]) -> Scenario:
    zones = [series.zone for series in chain.providers[0].provider.series]  # type: ignore[attr-defined]
    pace = Pace(timedelta(hours=6), timedelta(days=5), timedelta(minutes=30))
    site = Site(tuple(region(zone, 2) for zone in zones), Policy())
    return scenario(chain, site, ordered(jobs), pace)


@pytest.mark.parametrize("oracle", ["oracle", "oracle, in one piece", "oracle of all"])
def test_oracle_lets_two_jobs_share_the_cleanest_hours_where_that_costs_less(oracle: str) -> None:
    day = [400.0, 400, 400, 300, 300, 100, 100, 200, *[500.0] * 16]
    told = small([job(1, 2, slack=10), job(2, 2, slack=10)], [region("DE", 1)], {"DE": day})
    assert grams(ran(told, oracle)[oracle]) == pytest.approx(700, abs=0.1)
