"""Where and when one job runs."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from tidewatt.forecasting.kind import Basis, Boundary, Kind, Signal
from tidewatt.forecasting.series import Outlook, Rung, Segment, Steps
from tidewatt.scheduler.errors import BadInput, Refused
from tidewatt.scheduler.jobs import Need
from tidewatt.scheduler.plan import Ask, Booking, Plan, Why, Window
from tidewatt.scheduler.planning.board import Board
from tidewatt.scheduler.planning.instants import floor_ms
from tidewatt.scheduler.planning.planner import Infeasible, decide
from tidewatt.scheduler.planning.policy import Policy
from tidewatt.scheduler.planning.situation import Situation
from tidewatt.scheduler.planning.terms import check
from tidewatt.scheduler.region import Pool, Region

T0 = datetime(2026, 3, 1, tzinfo=UTC)
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
AVERAGE = Kind(Signal.AVERAGE, Basis.LIFECYCLE, Boundary.PRODUCTION)
MARGINAL = Kind(Signal.MARGINAL, Basis.DIRECT, Boundary.PRODUCTION)
EXACT = Policy(min_saving=0, min_wait=timedelta(0), margin=timedelta(0))
HOME = Region("home", pools=(Pool("A100", 2),), cpus=16, home=True)
NORTH = Region("north", pools=(Pool("A100", 2),), cpus=16)
DIP = [300.0, 300, 300, 100, 300, 300, 300, 300]  # gCO2/kWh in each hour


def outlook(values: Sequence[float], kind: Kind = AVERAGE, step: timedelta = HOUR) -> Outlook:
    step_ms = step // timedelta(milliseconds=1)
    starts = floor_ms(T0) + step_ms * np.arange(len(values), dtype=np.int64)
    segment = Segment(T0, T0 + len(values) * step, Rung.LIVE, "file x.csv")
    return Outlook("DE", kind, Steps(starts, starts + step_ms, np.array(values, float)), (segment,))


def ask(**changes: object) -> Ask:
    usual = Ask(1, T0, Need(gpus=1), HOUR, "yours", 1000.0, "given", finish_by=T0 + 8 * HOUR, home="home")
    return replace(usual, **changes)  # type: ignore[arg-type]


def booking(region: str, start: timedelta, end: timedelta, gpus: int = 2) -> Booking:
    return Booking(region, "A100", Window(T0 + start, T0 + end), gpus, 1, holder="job 9")


def plan(
    wanted: Ask,
    outlooks: Mapping[str, Outlook | None],
    policy: Policy = EXACT,
    bookings: tuple[Booking, ...] = (),
    regions: tuple[Region, ...] = (HOME, NORTH),
    now: datetime = T0,
) -> Plan:
    regions = tuple(region for region in regions if region.name in outlooks)
    return decide(
        wanted, Board(Situation(regions, outlooks, bookings, now, policy)).options(wanted), now, policy
    )


def test_job_waits_for_the_cleanest_window() -> None:
    made = plan(ask(), {"home": outlook(DIP)})
    assert made.window == Window(T0 + 3 * HOUR, T0 + 4 * HOUR)
    assert (made.why, made.signal) == (Why.CLEANEST, "average")
    assert made.reason == "waits 3h for cleaner electricity: 67% less than starting at once in home"
    assert (made.mean_gco2_per_kwh, made.immediate_gco2_per_kwh) == (100, 300)
    assert (made.expected_g, made.immediate_g, made.immediate_start) == (100, 300, T0)
    assert made.sources == ("file x.csv (live)",)


def test_window_may_end_at_a_step_border_instead_of_starting_at_one() -> None:
    made = plan(ask(duration=90 * MINUTE), {"home": outlook([300, 200, 100, 400])})
    assert made.window.end == T0 + 3 * HOUR


def test_equally_clean_windows_go_to_the_earliest() -> None:
    made = plan(ask(), {"home": outlook([300, 100, 300, 100, 100])})
    assert made.window.start == T0 + HOUR


def test_at_the_same_instant_home_goes_first_then_the_configured_order() -> None:
    flat = outlook([200] * 8)
    south = replace(NORTH, name="south")
    regions = (NORTH, south, HOME)
    assert plan(ask(), {"home": flat, "north": flat, "south": flat}, regions=regions).region == "home"
    cleaner = outlook([100] * 8)
    assert plan(ask(), {"home": flat, "north": cleaner, "south": cleaner}, regions=regions).region == "north"


def test_regions_with_different_steps_are_compared() -> None:
    quarter = outlook([250] * 6 + [40, 40, 40, 40] + [250] * 6, step=15 * MINUTE)
    made = plan(ask(finish_by=T0 + 4 * HOUR), {"home": outlook(DIP), "north": quarter})
    assert (made.region, made.window.start) == ("north", T0 + 90 * MINUTE)


def test_pue_counts_in_the_comparison_and_in_the_grams() -> None:
    wasteful = replace(NORTH, pue=2.0)
    made = plan(ask(), {"home": outlook([100] * 8), "north": outlook([60] * 8)}, regions=(HOME, wasteful))
    assert made.region == "home"
    made = plan(ask(), {"home": outlook([100] * 8), "north": outlook([40] * 8)}, regions=(HOME, wasteful))
    assert (made.region, made.expected_g, made.mean_gco2_per_kwh) == ("north", 80, 40)
    assert "runs in north instead of home" in made.reason


def test_job_does_not_wait_for_less_than_min_saving() -> None:
    policy = replace(EXACT, min_saving=0.02)
    made = plan(ask(), {"home": outlook([300, 295, 300, 300, 300, 300, 300, 300])}, policy)
    assert (made.window.start, made.why) == (T0, Why.NOTHING_TO_GAIN)
    assert made.reason == "waiting or moving would save 1.7% at most: less than 2% is not worth it"
    assert plan(ask(), {"home": outlook([300, 290] + [300] * 6)}, policy).why is Why.CLEANEST


def test_job_does_not_wait_shorter_than_min_wait() -> None:
    policy = replace(EXACT, min_wait=5 * MINUTE, min_saving=0.02)
    soon = T0 + 57 * MINUTE
    made = plan(ask(duration=30 * MINUTE), {"home": outlook([300, 100, 300])}, policy, now=soon)
    assert made.window.start == soon + 5 * MINUTE  # a little later is as clean, and long enough a wait
    made = plan(
        ask(duration=HOUR, finish_by=T0 + 2 * HOUR), {"home": outlook([300, 100, 300])}, policy, now=soon
    )
    assert (made.window.start, made.why) == (soon, Why.NOTHING_TO_GAIN)
    assert made.reason == "the cleanest start is only 3m away: less than 5m is not worth waiting for"


def test_first_moment_may_be_the_cleanest() -> None:
    made = plan(ask(), {"home": outlook([100, 200, 300, 300, 300, 300, 300, 300])})
    assert (made.window.start, made.why) == (T0, Why.NOW_IS_CLEANEST)


def test_plans_keep_a_margin_where_they_can() -> None:
    falling = {"home": outlook([800.0 - 100 * hour for hour in range(8)])}
    careful = replace(EXACT, margin=2 * MINUTE)
    assert plan(ask(), falling, careful).window.end == T0 + 8 * HOUR - 2 * MINUTE
    tight = ask(finish_by=T0 + HOUR + MINUTE)
    assert plan(tight, falling, careful).window.end == T0 + HOUR + MINUTE


def test_start_by_bounds_the_start() -> None:
    falling = {"home": outlook([800.0 - 100 * hour for hour in range(8)])}
    assert plan(ask(finish_by=None, start_by=T0 + 2 * HOUR), falling).window.start == T0 + 2 * HOUR
    assert plan(ask(start_by=T0 + 2 * HOUR), falling).window.start == T0 + 2 * HOUR


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"finish_by": None}, Why.NO_DEADLINE),
        ({"duration_source": "assumed"}, Why.NO_DURATION),
        ({"at_once": True}, Why.ASKED),
    ],
)
def test_job_that_may_not_be_shifted_starts_as_soon_as_it_fits(changes: dict[str, object], why: Why) -> None:
    made = plan(ask(**changes), {"home": outlook(DIP)}, bookings=(booking("home", 0 * HOUR, HOUR),))
    assert (made.window.start, made.why) == (T0 + HOUR, why)
    assert made.expected_g == 300


def test_default_slack_stands_in_for_a_deadline() -> None:
    policy = replace(EXACT, default_slack=4 * HOUR)
    made = plan(ask(finish_by=None), {"home": outlook(DIP)}, policy)
    assert (made.window.start, made.why) == (T0 + 3 * HOUR, Why.CLEANEST)
    used_up = plan(ask(finish_by=None, submitted=T0 - 9 * HOUR), {"home": outlook(DIP)}, policy)
    assert used_up.window.start == T0


def test_assumed_duration_longer_than_the_time_left_refuses_nothing() -> None:
    hasty = ask(duration_source="assumed", finish_by=T0 + 20 * MINUTE)
    check(hasty, (HOME,), T0)
    assert plan(hasty, {"home": outlook(DIP)}).window.start == T0


def test_without_any_signal_the_job_starts_at_once() -> None:
    made = plan(ask(), {"home": None, "north": None})
    assert (made.region, made.window.start, made.why) == ("home", T0, Why.NO_SIGNAL)
    assert (made.expected_g, made.signal, made.immediate_start) == (None, "", T0)
    assert "zone" in made.reason


def test_nothing_known_of_the_time_in_question_starts_at_once() -> None:
    made = plan(ask(duration=3 * HOUR), {"home": outlook([300, 100])})
    assert (made.window.start, made.why) == (T0, Why.NO_SIGNAL)
    assert "known only from 2026-03-01 00:00 UTC to 2026-03-01 02:00 UTC" in made.reason


def test_plans_stay_within_what_is_known() -> None:
    made = plan(ask(finish_by=T0 + 90 * HOUR), {"home": outlook(DIP)})
    assert made.window.start == T0 + 3 * HOUR


def test_different_kinds_are_never_compared() -> None:
    made = plan(ask(), {"home": outlook(DIP), "north": outlook([1] * 8, MARGINAL)})
    assert (made.region, made.signal) == ("home", "average")
    assert (
        made.note == "north left out: its signal is marginal direct CO2eq, production,"
        " not average lifecycle CO2eq, production"
    )


def test_kinds_that_differ_in_their_boundary_are_compared() -> None:
    consumed = replace(AVERAGE, boundary=Boundary.CONSUMPTION)
    assert plan(ask(), {"home": outlook(DIP), "north": outlook([1] * 8, consumed)}).region == "north"


def test_home_without_a_signal_is_left_out_and_said() -> None:
    made = plan(ask(), {"home": None, "north": outlook(DIP)})
    assert (made.region, made.window.start) == ("north", T0 + 3 * HOUR)
    assert made.note == "home left out: no carbon intensity is known there"
    assert (made.immediate_start, made.immediate_g) == (T0, None)


def test_deadline_comes_before_the_signal() -> None:
    full = (booking("home", 0 * HOUR, 20 * HOUR),)
    made = plan(ask(), {"home": outlook(DIP), "north": None}, bookings=full)
    assert (made.region, made.why) == ("north", Why.NO_SIGNAL)


def test_immediate_start_is_the_first_room_at_home() -> None:
    made = plan(
        ask(), {"home": outlook(DIP), "north": outlook(DIP)}, bookings=(booking("home", 0 * HOUR, HOUR),)
    )
    assert made.immediate_start == T0 + HOUR


def test_home_that_can_never_hold_the_job_is_said() -> None:
    made = plan(
        ask(need=Need(gpus=2)),
        {"home": outlook(DIP), "north": outlook(DIP)},
        regions=(replace(HOME, pools=()), NORTH),
    )
    assert (made.region, made.immediate_g) == ("north", 300)
    assert made.note == "home can never hold this job: compared with north"


def test_home_that_is_not_allowed_is_still_what_the_plan_is_compared_with() -> None:
    made = plan(ask(regions=("north",)), {"home": outlook([500] * 8), "north": outlook(DIP)})
    assert (made.region, made.immediate_g) == ("north", 500)


def test_region_that_has_room_sooner_is_taken_if_it_is_no_dirtier() -> None:
    flat = outlook([200] * 8)
    made = plan(ask(), {"home": flat, "north": flat}, bookings=(booking("home", 0 * HOUR, 5 * HOUR),))
    assert (made.region, made.window.start) == ("north", T0)
    later = outlook([210] * 2 + [200] * 6)
    made = plan(ask(), {"home": flat, "north": later}, bookings=(booking("home", 0 * HOUR, 5 * HOUR),))
    assert (made.region, made.window.start) == ("north", T0 + 2 * HOUR)
    assert made.reason == "runs in north, no less clean than home and sooner than home has room"


def test_excluded_region_is_never_used() -> None:
    made = plan(ask(exclude_regions=("north",)), {"home": outlook([500] * 8), "north": outlook(DIP)})
    assert made.region == "home"


def test_used_up_capacity_moves_the_window() -> None:
    made = plan(ask(), {"home": outlook(DIP)}, bookings=(booking("home", 3 * HOUR, 4 * HOUR, gpus=2),))
    assert made.window.start == T0


def test_same_region_with_two_pools_takes_the_free_one() -> None:
    two = replace(HOME, pools=(Pool("A100", 2), Pool("T4", 2)))
    made = plan(
        ask(), {"home": outlook(DIP)}, bookings=(booking("home", 0 * HOUR, 9 * HOUR),), regions=(two,)
    )
    assert (made.pool, made.window.start) == ("T4", T0 + 3 * HOUR)


def test_job_without_gpus_needs_only_cpus() -> None:
    made = plan(
        ask(need=Need(cpus=16)), {"home": outlook(DIP)}, bookings=(booking("home", 3 * HOUR, 5 * HOUR),)
    )
    assert (made.pool, made.window.start) == ("", T0)


FULL = (booking("home", 0 * HOUR, 8 * HOUR),)


def test_no_room_before_the_deadline_is_refused_with_the_earliest_finish() -> None:
    with pytest.raises(Refused) as refused:
        plan(ask(), {"home": outlook(DIP)}, bookings=FULL)
    assert str(refused.value) == (
        "cannot finish by 2026-03-01 08:00 UTC: the earliest finish is 2026-03-01 09:00 UTC, in home."
        " Accept that with --late, or give a later deadline"
    )
    assert refused.value.exit_code == 1


def test_no_room_before_the_latest_start_is_refused_with_the_earliest_start() -> None:
    with pytest.raises(
        Refused, match=r"cannot start by 2026-03-01 02:00 UTC: the earliest start is 2026-03-01 08:00"
    ):
        plan(ask(finish_by=None, start_by=T0 + 2 * HOUR), {"home": outlook(DIP)}, bookings=FULL)


def test_late_accepts_the_earliest_finish() -> None:
    made = plan(ask(late=True), {"home": outlook(DIP)}, bookings=FULL)
    assert (made.window.start, made.why) == (T0 + 8 * HOUR, Why.LATE)


def test_infeasible_job_carries_its_earliest_plan() -> None:
    board = Board(Situation((HOME,), {"home": outlook(DIP)}, FULL, T0, EXACT))
    missed = board.place(ask())
    assert isinstance(missed, Infeasible)
    assert missed.earliest is not None
    assert missed.earliest.window.start == T0 + 8 * HOUR


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"finish_by": T0 - HOUR},
            "--finish-by 2026-02-28 23:00 UTC is in the past (it is 2026-03-01 00:00 UTC)",
        ),
        ({"finish_by": T0}, "is in the past"),
        ({"start_by": T0 - HOUR}, "--start-by 2026-02-28 23:00 UTC is in the past"),
        ({"finish_by": T0.replace(tzinfo=None) + HOUR}, "has no time zone"),
        (
            {"duration": 9 * HOUR},
            "the duration of 9h does not fit before --finish-by 2026-03-01 08:00 UTC, which is 8h away",
        ),
        ({"duration": 9 * HOUR, "duration_source": "time limit"}, "shorten the time limit"),
        ({"duration": timedelta(0)}, "more than nothing"),
        ({"regions": ("nroth",)}, "there is no region nroth: choose from home, north"),
        ({"exclude_regions": ("nroth",)}, "there is no region nroth"),
        ({"regions": ("home",), "exclude_regions": ("home",)}, "leave no region over"),
        (
            {"need": Need(gpus=4)},
            "no region can ever hold 4 GPUs and 1 CPU at once. There is: home with 2 x A100, 16 CPUs",
        ),
        ({"need": Need(gpus=1, gpu_kind="h100")}, "no region can ever hold 1 h100 GPU"),
        ({"need": Need(cpus=17)}, "no region can ever hold 17 CPUs"),
    ],
)
def test_impossible_by_its_own_terms_is_bad_input(changes: dict[str, object], words: str) -> None:
    with pytest.raises(BadInput) as wrong:
        check(ask(**changes), (HOME, NORTH), T0)
    assert words in str(wrong.value)
    assert wrong.value.exit_code == 2


def test_window_that_exactly_fits_is_accepted() -> None:
    check(ask(duration=8 * HOUR), (HOME,), T0)
    assert plan(ask(duration=8 * HOUR), {"home": outlook(DIP)}).window.start == T0
