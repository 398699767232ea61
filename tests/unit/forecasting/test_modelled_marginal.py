"""Marginal intensity from an hourly mix: what followed, and what is not said."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from tidewatt.forecasting.kind import Basis, Signal
from tidewatt.forecasting.mix import intensity
from tidewatt.forecasting.modelled_marginal import (
    HOUR_MS,
    MarginalTable,
    estimate,
    followed,
    series,
    usual,
)

Power = NDArray[np.float64]
HOURS = 24 * 7 * 60
START_MS = 1_609_459_200_000  # 2021-01-01
UTC = "Etc/UTC"


def load_mw(seed: int = 0) -> Power:
    """Demand that swings with the day and wanders."""
    hours = np.arange(HOURS)
    wander = np.random.default_rng(seed).normal(0, 40, HOURS)
    return np.asarray(2000 + 600 * np.sin(2 * np.pi * hours / 24) + wander, float)


def grid(gas_follows: Callable[[Power], Power]) -> dict[str, Power]:
    """Demand is served by coal and gas; wind blows as it likes, nuclear power stands still."""
    load = load_mw()
    gas = gas_follows(load)
    wind = np.random.default_rng(1).uniform(0, 900, HOURS)
    return {"coal": load - gas, "gas": gas, "wind": wind, "nuclear": np.full(HOURS, 1500.0)}


def known(mw: dict[str, Power]) -> MarginalTable:
    table = estimate(mw, START_MS, UTC)
    assert table is not None
    return table


def shares(table: MarginalTable, fuel: str) -> Power:
    return table.share[fuel]


def test_the_fuel_that_follows_every_change_is_the_margin() -> None:
    mw = grid(lambda load: load - 1000)
    table = known(mw)
    assert shares(table, "gas") == pytest.approx(1.0, abs=1e-6)
    assert shares(table, "coal") == pytest.approx(0.0, abs=1e-6)


def test_two_fuels_that_follow_together_share_the_margin() -> None:
    table = known(grid(lambda load: 0.3 * load))
    assert shares(table, "gas") == pytest.approx(0.3, abs=1e-6)
    assert shares(table, "coal") == pytest.approx(0.7, abs=1e-6)


def test_what_the_weather_brings_does_not_move_the_margin() -> None:
    calm = grid(lambda load: 0.3 * load)
    windy = {**calm, "wind": calm["wind"] * 3}
    assert known(windy).usual == pytest.approx(known(calm).usual)


def test_nuclear_power_that_stands_still_is_not_on_the_margin_and_one_that_follows_is() -> None:
    still = grid(lambda load: 0.3 * load)
    assert "nuclear" not in known(still).share
    moves = {**still, "coal": still["coal"] * 0.6, "nuclear": 1500 + 0.4 * still["coal"]}
    assert shares(known(moves), "nuclear") == pytest.approx(0.28, abs=0.01)


def test_the_margin_may_differ_by_hour_of_the_local_day() -> None:
    load = load_mw()
    hour = np.arange(HOURS) % 24  # UTC; the local clock is two hours ahead
    change = np.diff(load, prepend=load[0])
    gas = 2000 + np.cumsum(np.where((hour - 1) % 24 < 12, 0.9, 0.1) * change)
    table = estimate({"gas": gas, "coal": load + 3000 - gas}, START_MS, "Etc/GMT-2")
    assert table is not None
    assert shares(table, "gas")[0, 4:12].mean() > 0.7
    assert shares(table, "gas")[0, 16:24].mean() < 0.3


def test_one_wild_hour_moves_the_margin_little() -> None:
    mw = grid(lambda load: 0.3 * load)
    dirty = {**mw, "coal": mw["coal"].copy()}
    dirty["coal"][700] *= 20
    assert known(dirty).usual == pytest.approx(known(mw).usual, rel=0.06)


def test_values_lie_between_the_factors_of_what_follows() -> None:
    mw = grid(lambda load: 0.3 * load)
    values = series(known(mw), mw, START_MS).gco2_per_kwh
    assert len(values) == HOURS
    assert values.min() > 0.3 * 410 + 0.7 * 740 - 1
    assert values.max() < 0.3 * 650 + 0.7 * 910 + 1


def test_the_last_plants_of_a_fuel_are_its_worst() -> None:
    mw = grid(lambda load: load - 1000)
    values = series(known(mw), mw, START_MS).gco2_per_kwh
    assert values[mw["gas"].argmax()] > values[mw["gas"].argmin()] + 100


def test_direct_emissions_are_lower_than_those_of_the_life_cycle() -> None:
    mw = grid(lambda load: 0.3 * load)
    direct = estimate(mw, START_MS, UTC, Basis.DIRECT)
    assert direct is not None
    assert (direct.usual < known(mw).usual).all()
    assert direct.kind.basis is Basis.DIRECT
    assert direct.kind.signal is Signal.MARGINAL


def test_where_mostly_water_follows_nothing_is_said() -> None:
    load = load_mw()
    assert estimate({"hydro": load, "gas": np.full(HOURS, 300.0)}, START_MS, UTC) is None


def test_less_than_four_weeks_say_nothing() -> None:
    short = {fuel: power[: 24 * 27] for fuel, power in grid(lambda load: 0.3 * load).items()}
    assert estimate(short, START_MS, UTC) is None


def test_hours_whose_mix_is_unknown_are_holes() -> None:
    mw = grid(lambda load: 0.3 * load)
    table = known(mw)
    holed = {**mw, "coal": mw["coal"].copy()}
    holed["coal"][10:13] = np.nan
    steps = series(table, holed, START_MS)
    assert len(steps.start_ms) == HOURS - 3
    assert START_MS + 11 * HOUR_MS not in steps.start_ms
    said, was = followed(table, holed, START_MS)
    assert np.isnan(said[10:14]).all()
    assert np.isnan(was[10:14]).all()


def test_the_usual_margin_has_no_cliff_between_seasons() -> None:
    table = np.repeat(np.array([[100.0], [200.0], [300.0], [200.0]]), 24, axis=1)
    year_ms = START_MS + HOUR_MS * np.arange(24 * 365)
    values = usual(table, year_ms, "Europe/Berlin")
    assert np.abs(np.diff(values)).max() < 1.2  # 100 g in a quarter of a year, each hour of the day alike
    assert values.min() == pytest.approx(100, abs=2)
    assert values.max() == pytest.approx(300, abs=2)


def test_it_foretells_changes_of_emissions_better_than_the_average_intensity() -> None:
    load = load_mw()
    change = np.diff(load, prepend=load[0])
    gas = 2000 + np.cumsum(0.8 * change + np.random.default_rng(2).normal(0, 3, HOURS))
    mw = {"gas": gas, "coal": load + 3000 - gas, "wind": np.full(HOURS, 4000.0)}
    half = HOURS // 2
    table = estimate({fuel: power[:half] for fuel, power in mw.items()}, START_MS, UTC)
    assert table is not None
    later = {fuel: power[half:] for fuel, power in mw.items()}
    said, was = followed(table, later, START_MS + half * HOUR_MS)
    average = intensity(later, Basis.LIFECYCLE)[:-1] * np.diff(later["gas"] + later["coal"])
    assert np.nanmean((said - was) ** 2) < 0.2 * np.mean((average - was[1:]) ** 2)
