"""Modelled profiles: every country and cloud region has hours, from its generation, its sun and its clock."""

import runpy
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from tidewatt.forecasting import modelled_profile, profile
from tidewatt.forecasting.dispatch import FACTORS, Place, shape, sunshine, within_days
from tidewatt.forecasting.modelled_profile import behaviour, generations, modelled
from tidewatt.forecasting.profile import MEAN, P10, P90, Profile
from tidewatt.forecasting.series import Intensities, Rung
from tidewatt.forecasting.zones import every

MADRID = Place(40.4, -3.68, "Europe/Madrid")
BENCHMARKS = Path(__file__).parents[3] / "benchmarks"
NOW = datetime(2026, 6, 10, 10, 20, tzinfo=UTC)


def of(zone: str) -> Profile:
    found = modelled(zone)
    assert found is not None
    return found


def hours(zone: str) -> Intensities:
    """Means of a zone, (12, 2, 24)."""
    table = of(zone).table
    assert table is not None
    return table[..., MEAN]


def test_every_zone_has_a_profile_and_flat_ones_are_of_countries_with_hardly_more_than_one_source() -> None:
    profiles = {zone.key: (zone, profile.profile(zone.key)) for zone in every()}
    assert [key for key, (_, found) in profiles.items() if found is None] == []
    flat = [zone for zone, found in profiles.values() if found is not None and found.flat]
    assert len(flat) < 50
    for zone in flat:
        shares = generations().get(zone.key, generations()[zone.country]).shares
        grams = [FACTORS[fuel] for fuel, share in shares.items() if share > 0.25]
        assert max(shares.values()) > 0.85 or max(grams) / min(grams) < 4, zone.key


@pytest.mark.parametrize("zone", ["ES", "GR", "CL", "JP", "AU-NSW", "IN-WE", "ZA", "MX"])
def test_sunny_grids_are_cleanest_around_solar_noon_all_year(zone: str) -> None:
    place = next(each for each in every() if each.key == zone)
    light = sunshine(Place(place.latitude, place.longitude, place.timezone))
    cleanest, noon = hours(zone)[:, 0].argmin(axis=1), light.argmax(axis=1)
    assert (np.abs(cleanest - noon) <= 2).all()


def test_zones_inside_a_country_share_its_level_and_follow_their_own_sun() -> None:
    east, west = of("BR-NE"), of("BR-N")
    assert east.gco2_per_kwh == west.gco2_per_kwh == of("BR").gco2_per_kwh
    east, west = of("AU-QLD"), of("AU-WA")
    moment = datetime(2026, 1, 15, tzinfo=UTC)
    cleanest = {
        p.zone: int(p.outlook(moment, moment + timedelta(days=1)).steps.gco2_per_kwh.argmin())
        for p in (east, west)
    }
    assert cleanest["AU-WA"] - cleanest["AU-QLD"] in (1, 2, 3)  # hours of UTC; 32 degrees further west


def test_southern_summers_are_in_january() -> None:
    light = {month: hours("AU-NSW")[month, 0] for month in (0, 6)}
    width = {month: int((within_days(values) < -0.1).sum()) for month, values in light.items()}
    assert width[0] > width[6]


def test_level_is_the_countrys_annual_mean_and_says_average_lifecycle_production() -> None:
    spain = of("ES")
    assert spain.gco2_per_kwh == profile.annual_mean("ES")
    days = np.array([5, 2]) / 7
    assert float(hours("ES").mean(axis=(0, 2)) @ days) == pytest.approx(spain.gco2_per_kwh)
    ahead = spain.outlook(NOW, NOW + timedelta(hours=30))
    assert str(ahead.kind) == "average lifecycle CO2eq, production"
    assert [s.rung for s in ahead.segments] == [Rung.PROFILE]
    assert ahead.segments[0].source.startswith("modelled profile of ES")


def test_no_grid_is_wilder_than_the_wildest_observed_and_bands_hold_their_mean() -> None:
    for zone in every():
        found = modelled(zone.key)
        if found is None or found.table is None:
            continue
        table = found.table
        assert np.abs(within_days(table[..., MEAN])).max() <= behaviour().widest + 1e-9, zone.key
        assert (table[..., P10] > 0).all()
        assert (table[..., P10] < table[..., MEAN]).all()
        assert (table[..., MEAN] < table[..., P90]).all()


def test_one_source_alone_makes_no_hours_to_choose_from() -> None:
    relative = shape({"gas": 1.0}, MADRID, behaviour())
    assert relative[..., MEAN] == pytest.approx(np.ones((12, 2, 24)))


def test_nuclear_runs_through_so_that_nights_beside_gas_are_clean() -> None:
    relative = shape({"gas": 0.5, "nuclear": 0.5}, MADRID, behaviour())[..., MEAN]
    assert (relative[:, 0, 3] < relative[:, 0, 19]).all()


def test_sun_follows_the_clock_of_the_zone_through_summer_time() -> None:
    light = sunshine(MADRID)
    assert light[0].argmax() == 13  # 12:24 by the sun
    assert light[6].argmax() == 14  # an hour later by the clock
    assert datetime(2022, 7, 15, tzinfo=ZoneInfo("Europe/Madrid")).utcoffset() == timedelta(hours=2)


def test_tables_are_small_and_name_their_sources_and_terms() -> None:
    shapes, shares = modelled_profile.BEHAVIOUR.read_text(), modelled_profile.GENERATION.read_text()
    assert len(shapes) + len(shares) < 60_000
    assert all(word in shapes[:800] for word in ("EIA-930", "ENTSO-E", "CarbonCast"))
    assert all(word in shares[:500] for word in ("Our World in Data", "Ember", "CC BY 4.0"))
    assert not any("Electricity Maps" in text for text in (shapes, shares))


def test_first_modelled_profile_is_made_in_milliseconds() -> None:
    modelled.cache_clear()
    behaviour.cache_clear()
    generations.cache_clear()
    begun = time.process_time()
    of("ES")
    assert time.process_time() - begun < 0.1


def test_profiles_capture_what_they_promise_in_countries_that_nothing_was_fitted_on(
    shared_data: Path,
) -> None:
    benchmark = runpy.run_path(str(BENCHMARKS / "profile_world.py"))
    judged = benchmark["countries"](shared_data)
    assert not {"DE", "FR", "PL"} & set(judged)  # they have built-in profiles
    for zone, least in {"ES": 0.75, "JP": 0.9, "GB": 0.45, "KR": 0.65, "IN": 0.9}.items():
        assert min(judged[zone].captured(benchmark["modelled_table"](zone))) > least, zone
    flat = judged["ES"].captured(np.ones((12, 2, 24)))
    assert flat == [0.0, 0.0]


def test_a_zone_without_hours_takes_the_generation_around_it_and_a_far_island_its_countrys() -> None:
    oregon, sacramento = generations()["US-NW-PGE"].shares, generations()["US-CAL-BANC"].shares
    assert oregon["hydro"] > 0.25 > 0.05 > sacramento["nuclear"]
    assert sacramento["solar"] > 0.06
    assert "US-HI-OA" not in generations()
    assert "of US in" in of("US-HI-OA").label
    assert of("US-NW-PGE").gco2_per_kwh < of("US-HI-OA").gco2_per_kwh


def test_provinces_of_water_power_are_not_taken_for_their_country() -> None:
    levels = {key: profile.profile(key) for key in ("CA-QC", "CA-ON", "CA-AB", "CA")}
    grams = {key: found.gco2_per_kwh for key, found in levels.items() if found is not None}
    assert max(grams["CA-QC"], grams["CA-ON"]) < 40 < 150 < grams["CA"] < 400 < grams["CA-AB"]
