"""The built-in profile: labelled, shaped where data allow, flat and marked so elsewhere."""

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from tidewatt.forecasting import profile as profiles
from tidewatt.forecasting.kind import Basis, Boundary, Signal
from tidewatt.forecasting.profile import Profile, profile
from tidewatt.forecasting.series import Rung, holes, mean

NOW = datetime(2026, 6, 10, 10, 20, tzinfo=UTC)
DATA = Path(profiles.__file__).parent / "data"


def of(zone: str) -> Profile:
    found = profile(zone)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("zone", "label"),
    [
        ("DE", "built-in profile of DE, 2019-2022"),
        ("US-CAL-CISO", "built-in profile of US-CAL-CISO, 2019-2022"),
        ("DK-DK2", "built-in profile of DK, 2019-2022"),
        ("WT:SGIP_CAISO_PGE", "built-in profile of US-CAL-CISO, 2019-2022"),
        ("ES", "modelled profile of ES, from generation by source of ES in 2023"),
        ("CA-QC", "modelled profile of CA-QC, from generation by source of CA-QC in 2005 (flat)"),
        ("JP-TK", "modelled profile of JP-TK, from generation by source of JP in 2023"),
        ("US-NW-PGE", "modelled profile of US-NW-PGE, from generation by source around it in 2019-2022"),
        ("BH", "annual mean of Bahrain, 2022 (flat)"),
    ],
)
def test_profile_says_whose_numbers_it_is(zone: str, label: str) -> None:
    assert of(zone).label == label
    assert of(zone).flat == ("flat" in label)
    assert of(zone).modelled == ("modelled" in label)


def test_unknown_zone_has_no_profile() -> None:
    assert profile("XX") is None


def test_outlook_has_no_holes_and_says_average_lifecycle_production() -> None:
    ahead = of("DE").outlook(NOW, NOW + timedelta(hours=30))
    assert holes(ahead.steps, NOW, NOW + timedelta(hours=30)) == []
    assert (ahead.kind.signal, ahead.kind.basis, ahead.kind.boundary) == (
        Signal.AVERAGE,
        Basis.LIFECYCLE,
        Boundary.PRODUCTION,
    )
    assert [s.rung for s in ahead.segments] == [Rung.PROFILE]
    assert ahead.p10 is not None
    assert ahead.p90 is not None
    assert (ahead.p10 <= ahead.p90).all()


def test_california_is_clean_at_local_noon_and_dirty_after_sunset_the_year_round() -> None:
    for month in range(1, 13):
        noon = datetime(2026, month, 15, 20, tzinfo=UTC)  # 12 or 13 h in Los Angeles
        evening = datetime(2026, month, 16, 4, tzinfo=UTC)
        ahead = of("US-CAL-CISO").outlook(noon, evening + timedelta(hours=1)).steps
        at_noon = mean(ahead, noon, noon + timedelta(hours=1))
        at_evening = mean(ahead, evening, evening + timedelta(hours=1))
        assert at_noon is not None
        assert at_evening is not None
        assert at_noon < 0.9 * at_evening


def test_flat_profile_is_one_step_without_quantiles() -> None:
    ahead = of("BH").outlook(NOW, NOW + timedelta(hours=30))
    assert len(ahead.steps.start_ms) == 1
    assert ahead.p10 is None


def test_the_first_of_a_month_is_no_cliff() -> None:
    midnight = datetime(2026, 6, 30, 22, tzinfo=UTC)  # in Berlin
    ahead = of("DE").outlook(midnight - timedelta(days=1), midnight + timedelta(days=1)).steps.gco2_per_kwh
    assert np.abs(ahead[24:] - ahead[:24]).max() < 10


def test_tables_are_small_and_name_their_sources_and_terms() -> None:
    assert sum(path.stat().st_size for path in DATA.iterdir()) < 1_500_000
    shapes, annual = (DATA / "profiles.csv").read_text(), (DATA / "annual_means.csv").read_text()
    assert all(
        word in shapes[:800] for word in ("EIA-930", "ENTSO-E", "CarbonCast (Apache-2.0)", "gCO2eq/kWh")
    )
    assert all(word in annual[:500] for word in ("Our World in Data", "Ember", "CC BY 4.0", "gCO2eq/kWh"))


def test_one_zone_is_read_in_milliseconds() -> None:
    profiles._shaped.cache_clear()
    profiles._own.cache_clear()
    begun = time.process_time()
    of("FR")
    assert time.process_time() - begun < 0.02


def test_no_dirt_of_the_sources_is_in_the_table() -> None:
    for zone in ("IE", "NL", "US-CENT-SPA", "US-NW-PACW", "US-FLA-FPL"):
        table = of(zone).table
        assert table is not None
        assert np.isfinite(table).all()
        assert table.min() > 20
