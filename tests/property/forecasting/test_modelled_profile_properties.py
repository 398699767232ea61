"""Modelled profiles stay within what grids can be, whatever is generated wherever."""

from datetime import UTC, datetime, timedelta

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tidewatt.forecasting.dispatch import FACTORS, Place, demand_at, intensity, shape, sunshine, within_days
from tidewatt.forecasting.modelled_profile import behaviour
from tidewatt.forecasting.observed_profile import blended
from tidewatt.forecasting.profile import MEAN, P10, P90, profile
from tidewatt.forecasting.series import Steps, milliseconds
from tidewatt.forecasting.zones import every

FUELS = ("coal", "gas", "oil", "biomass", "geothermal", "hydro", "nuclear", "solar", "wind")
START = datetime(2026, 1, 1, tzinfo=UTC)
HOUR_MS = 3_600_000


@st.composite
def mixes(draw: st.DrawFn) -> dict[str, float]:
    twh = draw(st.lists(st.integers(0, 100), min_size=len(FUELS), max_size=len(FUELS)).filter(any))
    return {fuel: each / sum(twh) for fuel, each in zip(FUELS, twh, strict=True)}


places = st.sampled_from([Place(z.latitude, z.longitude, z.timezone) for z in every()])


@settings(max_examples=60, deadline=None)
@given(mixes(), places)
def test_intensity_lies_between_the_cleanest_and_the_dirtiest_fuel(
    shares: dict[str, float], place: Place
) -> None:
    grids = behaviour()
    values = intensity(
        shares, sunshine(place), demand_at(place.latitude, grids), grids.wind[:, None, :], grids.response
    )
    used = [FACTORS[fuel] for fuel, share in shares.items() if share > 0]
    assert values.min() >= min(used) - 1e-6
    assert values.max() <= max(used) + 1e-6


@settings(max_examples=60, deadline=None)
@given(mixes(), places)
def test_shapes_are_bounded_and_their_year_is_one(shares: dict[str, float], place: Place) -> None:
    table = shape(shares, place, behaviour())
    assert np.isfinite(table).all()
    assert table.min() > 0
    assert np.abs(within_days(table[..., MEAN])).max() <= behaviour().widest + 1e-9
    assert (table[..., P10] <= table[..., MEAN]).all()
    assert (table[..., MEAN] <= table[..., P90]).all()
    assert abs(float(table[..., MEAN].mean(axis=(0, 2)) @ np.array([5, 2]) / 7) - 1) < 1e-9


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(["ES", "DE", "BH", "AU-NSW"]),
    st.lists(st.floats(0, 2000), min_size=24, max_size=24 * 12),
    st.integers(1, 3),
)
def test_whatever_is_observed_profiles_stay_finite_positive_and_banded(
    zone: str, values: list[float], every_nth: int
) -> None:
    usual = profile(zone)
    assert usual is not None
    start = milliseconds(START) + HOUR_MS * every_nth * np.arange(len(values))
    seen = Steps(start, start + HOUR_MS, np.array(values))
    learnt = blended(usual, seen, START + timedelta(days=40))
    if learnt is usual:
        return
    assert learnt.table is not None
    assert np.isfinite(learnt.table).all()
    assert (learnt.table[..., MEAN] > 0).all()
    assert (learnt.table[..., P10] <= learnt.table[..., MEAN] + 1e-9).all()
    assert (learnt.table[..., P90] >= learnt.table[..., MEAN] - 1e-9).all()
