"""Generation by fuel: brought on one grid of time, waited for, added up."""

from datetime import UTC, datetime

import numpy as np
import pytest

from tidewatt.forecasting.feeds.generation import (
    Generation,
    aligned,
    by_fuel,
    finished,
    held,
    observed,
    with_nights,
)
from tidewatt.forecasting.series import Steps, empty, milliseconds
from tidewatt.forecasting.zones import zone

HOUR_MS = 3_600_000
T0_MS = milliseconds(datetime(2026, 3, 1, tzinfo=UTC))
NAN = float("nan")


def steps(*values: float, step_ms: int = HOUR_MS, first_ms: int = T0_MS) -> Steps:
    start_ms = first_ms + step_ms * np.arange(len(values))
    known = ~np.isnan(values)
    return Steps(start_ms[known], (start_ms + step_ms)[known], np.array(values)[known])


def generation(**mw: list[float]) -> Generation:
    n = max(len(values) for values in mw.values())
    return Generation(
        T0_MS + HOUR_MS * np.arange(n), HOUR_MS, {part: np.array(v, float) for part, v in mw.items()}
    )


def test_longer_steps_are_held_over_the_shortest() -> None:
    told = aligned({"a": steps(4, 8), "b": steps(1, 2, 3, step_ms=HOUR_MS // 2)})
    assert told.step_ms == HOUR_MS // 2
    assert told.mw["a"].tolist() == [4, 4, 8, 8]
    assert told.mw["b"][:3].tolist() == [1, 2, 3]
    assert np.isnan(told.mw["b"][3])


def test_nothing_told_is_nothing() -> None:
    assert len(aligned({}).start_ms) == 0
    assert len(aligned({"a": empty()}).start_ms) == 0
    assert observed(by_fuel(aligned({}), {})) == ()
    assert np.isnan(held(empty(), np.array([T0_MS]))).all()


def test_newest_steps_without_a_usual_part_are_left_out() -> None:
    told, notes = finished(generation(gas=[5, 5, 5, 5], wind=[5, 5, NAN, NAN]))
    assert len(told.start_ms) == 2
    assert notes == ("wind comes later than the rest: the newest steps wait",)


def test_hole_before_a_whole_step_is_kept_as_a_hole() -> None:
    told, notes = finished(generation(gas=[5, 5, 5], wind=[5, NAN, 5]))
    assert (len(told.start_ms), notes) == (3, ())


@pytest.mark.parametrize("late", [[0.01, NAN, NAN], [9, NAN, NAN]])
def test_part_of_little_weight_or_seldom_told_is_not_waited_for(late: list[float]) -> None:
    told, notes = finished(generation(gas=[500, 500, 500], oil=late))
    assert (len(told.start_ms), notes) == (3, ())


def test_storage_is_not_waited_for() -> None:
    told, _ = finished(generation(gas=[5, 5, 5], pumps=[5, 5, NAN]), ["pumps"])
    assert len(told.start_ms) == 3


def test_usual_parts_that_never_meet_give_nothing_and_say_so() -> None:
    told, notes = finished(generation(gas=[5, 5, NAN, NAN], coal=[NAN, NAN, 5, 5]))
    assert (len(told.start_ms), notes) == (
        0,
        ("in no step are all usual parts of the mix known: nothing is used",),
    )


def test_fuel_is_unknown_where_a_part_of_weight_is_missing() -> None:
    told = by_fuel(generation(hard=[5, NAN], brown=[5, 5]), {"hard": "coal", "brown": "coal"})
    assert told.mw["coal"][0] == 10
    assert np.isnan(told.mw["coal"][1])


def test_part_of_little_weight_may_be_missing_unless_all_of_the_fuel_is() -> None:
    fuels = {"peat": "coal", "brown": "coal", "gas": "gas"}
    told = by_fuel(generation(peat=[1, NAN, NAN], brown=[500, 500, NAN], gas=[9, 9, 9]), fuels)
    assert told.mw["coal"][:2].tolist() == [501, 500]
    assert np.isnan(told.mw["coal"][2])


def test_storage_needs_only_one_side() -> None:
    told = by_fuel(generation(out=[5, NAN], taken=[NAN, -7]), {"out": "storage", "taken": "storage"})
    assert told.mw["storage"].tolist() == [5, -7]


def test_sun_is_filled_in_only_where_it_is_dark() -> None:
    told = with_nights(generation(sun=[NAN] * 24, wind=[NAN] * 24), ["sun"], zone("DE"))
    dark = told.mw["sun"] == 0
    assert dark[[0, 3, 20, 23]].all()
    assert np.isnan(told.mw["sun"][[8, 12, 16]]).all()
    assert np.isnan(told.mw["wind"]).all()


def test_what_is_observed_has_holes_where_the_mix_is_not_known() -> None:
    told = {each.quantity: each.steps for each in observed(generation(gas=[5, NAN, 5], wind=[5, 5, 5]))}
    assert len(told["mw gas"].start_ms) == 2
    assert len(told["mw wind"].start_ms) == 3
    assert told["average lifecycle CO2eq, production"].gco2_per_kwh == pytest.approx([(490 + 11) / 2] * 2)
