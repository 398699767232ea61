"""What one job's plan weighs besides carbon: kinds of GPU, data, money, delay, a second signal, doubt."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from tests.timetables.situations import HOUR, MINUTE, T0, ask, outlook
from tidewatt.forecasting.kind import Basis, Boundary, Kind, Signal
from tidewatt.forecasting.series import Outlook
from tidewatt.scheduler.errors import BadInput
from tidewatt.scheduler.jobs import Need
from tidewatt.scheduler.plan import Ask, Beside, Booking, GpuKind, Plan, Why, Window
from tidewatt.scheduler.planning.board import Board
from tidewatt.scheduler.planning.capacity import Timeline
from tidewatt.scheduler.planning.instants import ceil_ms
from tidewatt.scheduler.planning.planner import Infeasible
from tidewatt.scheduler.planning.policy import Link, Policy
from tidewatt.scheduler.planning.situation import Situation
from tidewatt.scheduler.planning.terms import check, latest_start_ms
from tidewatt.scheduler.region import Pool, Region

MARGINAL = Kind(Signal.MARGINAL, Basis.DIRECT, Boundary.PRODUCTION)
EXACT = Policy(min_saving=0.02, min_wait=timedelta(0), margin=timedelta(0))
BOTH = replace(EXACT, signal="both")
HOME = Region("home", pools=(Pool("A100", 2),), cpus=16, home=True)
NORTH = Region("north", pools=(Pool("A100", 2),), cpus=16)
DIP = [300.0] * 3 + [100] + [300] * 20
FLAT = [300.0] * 24


def job(finish_h: float | None = 8, hours: float = 1, **changes: object) -> Ask:
    return ask(1, finish_h, hours, **({"home": "home"} | changes))


def marginal(values: Sequence[float]) -> Outlook:
    return replace(outlook(values), kind=MARGINAL)


def place(
    wanted: Ask,
    home: Sequence[float] = DIP,
    north: Sequence[float] | None = None,
    policy: Policy = EXACT,
    regions: tuple[Region, ...] | None = None,
    bookings: Sequence[Booking] = (),
    second: Mapping[str, Sequence[float]] | None = None,
) -> Plan | Infeasible:
    regions = regions or ((HOME,) if north is None else (HOME, NORTH))
    ahead: dict[str, Outlook | None] = {
        "home": outlook(home), "north": None if north is None else outlook(north)
    }  # fmt: skip
    other: dict[str, Outlook | None] = {name: marginal(values) for name, values in (second or {}).items()}
    return Board(Situation(regions, ahead, bookings, T0, policy, beside=other)).place(wanted)


def plan(wanted: Ask, *args: object, **kwargs: object) -> Plan:
    made = place(wanted, *args, **kwargs)  # type: ignore[arg-type]
    assert isinstance(made, Plan)
    return made


def start_h(made: Plan) -> float:
    return (made.window.start - T0) / HOUR


# Kinds of GPU

FAST = replace(HOME, pools=(Pool("A100", 2), Pool("H100", 2, speed=2.0, power=1.5)))


def test_faster_kind_takes_less_time_and_its_own_power() -> None:
    made = plan(job(hours=2), FLAT, regions=(FAST,))
    assert (made.pool, made.window) == ("H100", Window(T0, T0 + HOUR))
    assert made.expected_g == pytest.approx(300 * 1.5)  # 1 kW at half as much again, for half the time
    assert made.immediate_g == pytest.approx(450)  # at once, the faster of two free pools is taken
    slow = plan(job(hours=2, kinds=(GpuKind("a100"),)), FLAT, regions=(FAST,))
    assert (slow.pool, slow.expected_g) == ("A100", 600)


def test_job_names_how_it_fares_and_what_it_accepts() -> None:
    hungry = job(hours=2, kinds=(GpuKind("a100"), GpuKind("h100", speed=2.0, power=2.5)))
    made = plan(hungry, FLAT, regions=(FAST,))
    assert made.pool == "A100"
    assert made.reason == "runs on A100 (done in 2h instead of 1h): 20% less than starting at once in home"
    missed = place(job(kinds=(GpuKind("t4"),)), FLAT, regions=(FAST,))
    assert isinstance(missed, Infeasible)
    assert missed.earliest is None


def test_kind_without_ratios_takes_the_pools_own() -> None:
    made = plan(job(hours=2, kinds=(GpuKind("h100"),)), FLAT, regions=(FAST,))
    assert made.window.end - made.window.start == HOUR


def test_only_the_faster_kind_may_be_in_time() -> None:
    made = plan(job(finish_h=3, hours=4), FLAT, regions=(FAST,))
    assert (made.pool, made.window.end <= T0 + 3 * HOUR) == ("H100", True)


def test_deadline_that_only_a_faster_kind_can_keep_is_no_bad_input() -> None:
    check(job(finish_h=3, hours=4), (FAST,), T0)
    with pytest.raises(BadInput, match="duration of 4h does not fit"):
        check(job(finish_h=3, hours=4, kinds=(GpuKind("a100"),)), (FAST,), T0)
    with pytest.raises(BadInput, match=r"no region can ever hold 1 t4 or l4 GPU and 1 CPU"):
        check(job(kinds=(GpuKind("t4"), GpuKind("l4"))), (FAST,), T0)


def test_job_wider_than_a_node_is_told_how_wide_nodes_are() -> None:
    nodes = Region("home", pools=(Pool("A100", 16, node_gpus=8),), cpus=99)
    with pytest.raises(BadInput, match=r"There is: home with 16 x A100 \(8 on a node\)"):
        check(job(need=Need(gpus=9)), (nodes,), T0)


def test_job_without_a_deadline_goes_where_it_ends_first() -> None:
    busy = Booking("home", "H100", Window(T0, T0 + 30 * MINUTE), 2, 1)
    made = plan(job(None, hours=4), FLAT, regions=(FAST,), bookings=(busy,))
    assert (made.pool, start_h(made)) == ("H100", 0.5)
    asked = plan(job(None, hours=4, at_once=True), FLAT, regions=(FAST,), bookings=(busy,))
    assert (asked.pool, start_h(asked)) == ("A100", 0)


# When a job may start


def test_job_starts_no_earlier_than_its_release() -> None:
    assert start_h(plan(job(release=T0 + 2 * HOUR), FLAT)) == 2


def test_deadline_is_kept_by_the_longer_duration_but_the_window_is_the_expected_one() -> None:
    falling = [800.0 - 20 * hour for hour in range(24)]
    made = plan(job(finish_h=8, hours=2, guard_duration=5 * HOUR), falling)
    assert made.window == Window(T0 + 3 * HOUR, T0 + 5 * HOUR)
    assert latest_start_ms(job(finish_h=8, hours=2, guard_duration=5 * HOUR)) == ceil_ms(T0 + 3 * HOUR)


def test_job_whose_longest_run_does_not_fit_starts_at_once_instead_of_being_refused() -> None:
    made = plan(job(finish_h=5, hours=2, guard_duration=7 * HOUR), DIP)
    assert (start_h(made), made.why) == (0, Why.GUARD)
    assert made.reason.startswith("its slack is used up")


def test_nothing_runs_in_a_closed_window() -> None:
    closed = replace(HOME, closed=(Window(T0 + 3 * HOUR, T0 + 4 * HOUR), Window(T0, T0 + HOUR)))
    made = plan(job(), regions=(closed,))
    assert made.window.start == T0 + HOUR


def test_power_limit_holds_for_all_jobs_together() -> None:
    limited = replace(HOME, power_limit_kw=1.5)
    running = Booking("home", "A100", Window(T0, T0 + 5 * HOUR), 1, 1, power_w=600.0)
    assert start_h(plan(job(power_w=900), FLAT, regions=(limited,), bookings=(running,))) == 0
    assert start_h(plan(job(power_w=901), FLAT, regions=(limited,), bookings=(running,))) == 5
    hot = replace(limited, pools=(Pool("A100", 2, power=1.2),))
    assert start_h(plan(job(power_w=900), FLAT, regions=(hot,), bookings=(running,))) == 5


def test_gpus_of_one_job_are_on_one_node() -> None:
    nodes = Region("home", pools=(Pool("A100", 4, node_gpus=2),), cpus=16, home=True)
    each = [Booking("home", "A100", Window(T0, T0 + h * HOUR), 1, 1, holder=f"job {h}") for h in (2, 3)]
    two = job(need=replace(job().need, gpus=2))
    timeline = Timeline(nodes, each)  # both on the first node, so that the second stays whole
    assert timeline.free(two.need, "A100", ceil_ms(T0))[0][0] == ceil_ms(T0)
    timeline.book(replace(each[0], window=Window(T0, T0 + HOUR), holder="job 1"))
    assert timeline.free(two.need, "A100", ceil_ms(T0))[0][0] == ceil_ms(T0 + HOUR)
    assert timeline.pools_for(replace(two.need, gpus=3)) == ()


# Other regions

LINK = Link(gbit_per_s=8 / 3.6, kwh_per_gb=0.001, low=0.0005, high=0.002, source="assumed", price_per_gb=0.0)


def test_time_and_region_are_told_apart() -> None:
    made = plan(job(), [300.0] * 3 + [240] + [300] * 20, [300.0] * 3 + [120] + [300] * 20)
    assert made.reason == (
        "waits 3h for cleaner electricity and runs in north instead of home: 60% less than starting at once"
        " in home (waiting alone 20%, the region 40% more)"
    )
    made = plan(job(), [300.0] * 3 + [240] + [300] * 20, [120.0] * 24)
    assert made.reason.endswith("(waiting there would give 20%)")


def test_job_that_may_not_run_at_home_is_compared_with_home_all_the_same() -> None:
    wasteful = (replace(HOME, pue=1.5), NORTH)
    away = job(regions=("north",))
    made = plan(away, FLAT, [300.0] * 3 + [90] + [300] * 20, regions=wasteful)
    assert made.reason == (
        "waits 3h for cleaner electricity and runs in north instead of home: 80% less with PUE than starting"
        " at once in home"
    )
    assert made.expected_g is not None
    assert made.immediate_g is not None
    assert 1 - made.expected_g / made.immediate_g == pytest.approx(0.8)


def test_data_take_time_and_energy_to_come() -> None:
    policy = replace(EXACT, link=LINK)
    made = plan(job(data_gb=500), FLAT, [100.0] * 24, policy)
    assert (made.region, start_h(made)) == ("north", 0.5)
    assert made.expected_g == pytest.approx(100 + 0.5 * (300 + 100) / 2)  # at the mean of both ends
    assert "moving 500 GB takes 30m and emits about 100 g (50 g to 200 g; assumed), counted" in made.note
    assert plan(job(data_gb=1500), FLAT, [100.0] * 24, policy).region == "home"  # dirtier than to stay
    assert plan(job(finish_h=1.4, data_gb=500), FLAT, [100.0] * 24, policy).region == "home"  # too late


def test_money_is_weighed_as_the_operator_says() -> None:
    dear = replace(HOME, price_per_kwh=0.5)
    cheap = replace(NORTH, price_per_kwh=0.1)
    priced = replace(EXACT, g_per_price=500.0)
    made = plan(job(), FLAT, [330.0] * 24, priced, (dear, cheap))
    assert made.region == "north"
    assert made.reason == (
        "runs in north instead of home: 10% more, 80% cheaper than starting at once in home"
    )
    assert plan(job(), FLAT, [330.0] * 24, EXACT, (dear, cheap)).region == "home"


def test_delay_is_weighed_as_the_operator_says() -> None:
    assert start_h(plan(job())) == 3
    assert start_h(plan(job(), policy=replace(EXACT, g_per_hour=60.0))) == 3
    made = plan(job(), policy=replace(EXACT, g_per_hour=70.0))
    assert (start_h(made), made.why) == (0, Why.NOW_IS_CLEANEST)
    shorter = plan(job(), policy=replace(EXACT, g_per_hour=10.0))
    assert shorter.reason.endswith("67% less, done 3h later than starting at once in home")


# Both signals


def test_both_signals_wait_only_where_neither_gets_worse() -> None:
    average = [300.0, 200, 100, 300] + [300] * 20
    assert start_h(plan(job(), average, policy=BOTH, second={"home": [500.0, 450, 700] + [900] * 21})) == 1
    made = plan(job(), average, policy=BOTH, second={"home": [500.0] + [700] * 23})
    assert (start_h(made), made.why) == (0, Why.NOW_IS_CLEANEST)
    assert start_h(plan(job(), average, policy=EXACT, second={"home": [500.0] + [700] * 23})) == 2


def test_both_signals_are_in_the_plan_and_in_the_sentence() -> None:
    made = plan(job(), DIP, policy=BOTH, second={"home": [500.0] * 3 + [400] + [500] * 20})
    assert (made.signal, made.expected_g, made.immediate_g) == ("average", 100, 300)
    assert made.beside == Beside("marginal", 400, 500)
    assert made.reason == (
        "waits 3h for cleaner electricity: 67% less (average) and 20% less (marginal) than starting at once"
        " in home"
    )


def test_start_at_which_the_second_signal_is_just_as_bad_is_found() -> None:
    # By the average later is better; by the marginal signal 01:30 is as bad as at once, and later is worse.
    average, other = [300.0, 200, 0] + [300] * 21, [500.0, 400, 600] + [900] * 21
    made = plan(job(), average, policy=BOTH, second={"home": other})
    assert made.window.start == T0 + 90 * MINUTE
    assert made.beside is not None
    assert made.expected_g == pytest.approx(100)
    assert made.beside.expected_g == pytest.approx(500)


def test_where_only_one_signal_is_known_it_decides_and_that_is_said() -> None:
    made = plan(job(), DIP, policy=BOTH)
    assert start_h(made) == 3
    assert made.note == "average alone decides in home: the other signal is not known there"
    away = plan(job(), FLAT, [100.0] * 24, BOTH, second={"home": [500.0] * 24})
    assert away.region == "north"
    assert away.note == "average alone decides in north: the other signal is not known there"


def test_only_the_marginal_signal_is_known() -> None:
    ahead = {"home": None}
    situation = Situation((HOME,), ahead, (), T0, BOTH, beside={"home": marginal(DIP)})
    made = Board(situation).place(job())
    assert isinstance(made, Plan)
    assert (start_h(made), made.signal) == (3, "marginal")


def test_regions_word_goes_before_the_policys() -> None:
    own = replace(HOME, signal="marginal")
    second = [500.0] * 5 + [100] + [500] * 18
    made = plan(job(), DIP, policy=EXACT, regions=(own,), second={"home": second})
    assert (start_h(made), made.signal, made.expected_g) == (5, "marginal", 100)
    assert made.beside == Beside("average", 300, 300)


# Doubt


def banded(values: Sequence[float], width: float) -> Outlook:
    made = outlook(values)
    amounts = np.array(values)
    return replace(made, p10=amounts - width / 2, p90=amounts + width / 2)


@pytest.mark.parametrize(("width", "start"), [(50.0, 3), (1500.0, 0)])
def test_job_waits_only_where_waiting_is_likely_to_gain(width: float, start: float) -> None:
    ahead = {"home": banded(DIP, width)}
    made = Board(Situation((HOME,), ahead, (), T0, replace(EXACT, min_chance=0.8))).place(job())
    assert isinstance(made, Plan)
    assert start_h(made) == start
    if not start:
        assert made.why is Why.NOTHING_TO_GAIN
        assert made.reason.endswith("likely to gain anything: less than 80% is not worth it")


def test_doubt_about_waiting_does_not_keep_a_job_from_a_cleaner_region() -> None:
    ahead = {"home": banded(DIP, 1500), "north": banded([200.0, 200, 200, 90] + [200] * 20, 1500)}
    made = Board(Situation((HOME, NORTH), ahead, (), T0, replace(EXACT, min_chance=0.8))).place(job())
    assert isinstance(made, Plan)
    assert (made.region, start_h(made), made.why) == ("north", 0, Why.CLEANEST)


def test_negative_intensity_is_worth_waiting_for() -> None:
    assert start_h(plan(job(), [-5.0, 3, -10, 4] + [10] * 20)) == 2


# Starts that were chosen elsewhere


def test_start_chosen_with_the_whole_queue_in_view_is_explained_like_any_other() -> None:
    board = Board(Situation((HOME,), {"home": outlook(DIP)}, (), T0, EXACT))
    made = board.plan_at(job(hours=2), "home", "A100", ceil_ms(T0 + 2 * HOUR))
    assert (made.expected_g, made.immediate_g, made.why) == (400, 600, Why.CLEANEST)
    assert made.reason == "waits 2h for cleaner electricity: 33% less than starting at once in home"
    later = board.plan_at(job(), "home", "A100", ceil_ms(T0 + 5 * HOUR))
    assert later.reason.startswith("leaves the cleaner hours to jobs that gain more by them")
    assert board.plan_at(job(), "home", "A100", ceil_ms(T0)).why is Why.NOW_IS_CLEANEST
    with pytest.raises(ValueError, match="cannot run in home on T4"):
        board.plan_at(job(), "home", "T4", ceil_ms(T0))
