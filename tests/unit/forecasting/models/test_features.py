"""Features are of the past alone, whoever asks for how many issues at once."""

from dataclasses import replace

import numpy as np

from tests.unit.forecasting.models.pasts import DAY_H, START_MS, past
from tidewatt.forecasting.backtest.issuing import cut
from tidewatt.forecasting.models import calendar
from tidewatt.forecasting.models.features import FLOOR_G, columns, targets
from tidewatt.forecasting.models.forecaster import HOUR_MS

HOURS = np.arange(168)
ORIGINS = np.array([30 * DAY_H, 31 * DAY_H + 5, 40 * DAY_H])


def test_the_future_changes_no_feature() -> None:
    honest = past(60 * DAY_H, mixed=True)
    for origin in ORIGINS:
        later = np.arange(60 * DAY_H) >= origin
        tempted = replace(
            honest,
            gco2_per_kwh=np.where(later, 1e9, honest.gco2_per_kwh),
            mw={fuel: np.where(later, -1e9, power) for fuel, power in honest.mw.items()},
        )
        seen, planted = (columns(each, np.array([origin]), HOURS) for each in (honest, tempted))
        assert np.array_equal(seen.x, planted.x, equal_nan=True)
        assert np.array_equal(seen.log_base, planted.log_base)
        assert np.array_equal(seen.swing, planted.swing)


def test_many_issues_at_once_are_as_each_from_what_was_known_then() -> None:
    whole = past(60 * DAY_H, mixed=True)
    together = columns(whole, ORIGINS, HOURS)
    for row, origin in enumerate(ORIGINS.tolist()):
        known = cut(whole, START_MS + origin * HOUR_MS)
        alone = columns(known, np.array([origin]), HOURS)
        assert alone.names == together.names
        assert np.array_equal(alone.x[0], together.x[row], equal_nan=True)


def test_the_base_is_the_mean_of_the_same_hours_of_the_last_week() -> None:
    whole = past(20 * DAY_H)
    base = columns(whole, np.array([14 * DAY_H]), np.array([5, 29])).log_base[0]
    same = whole.gco2_per_kwh[7 * DAY_H + 5 : 14 * DAY_H : DAY_H]
    assert np.allclose(np.exp(base), same.mean())


def test_targets_are_log_ratios_to_the_base_and_unknown_beyond_the_past() -> None:
    whole = past(15 * DAY_H)
    origins, hours = np.array([14 * DAY_H]), np.array([0, 23, 24])
    ratio = targets(whole, origins, hours, np.full((1, 3), np.log(100.0)))[0]
    assert np.allclose(np.exp(ratio[:2]) * 100, whole.gco2_per_kwh[[14 * DAY_H, 14 * DAY_H + 23]])
    assert np.isnan(ratio[2])


def test_a_zone_without_emissions_has_finite_features() -> None:
    clean = replace(past(30 * DAY_H), gco2_per_kwh=np.zeros(30 * DAY_H))
    seen = columns(clean, np.array([29 * DAY_H]), HOURS)
    assert not np.isinf(seen.x).any()
    assert np.allclose(seen.log_base, np.log(FLOOR_G))


def test_holes_stay_unknown_instead_of_being_invented() -> None:
    whole = past(30 * DAY_H)
    holed = whole.gco2_per_kwh.copy()
    holed[28 * DAY_H : 29 * DAY_H] = np.nan
    seen = columns(replace(whole, gco2_per_kwh=holed), np.array([29 * DAY_H]), HOURS)
    lag = seen.x[0, :, seen.names.index("same hour, 1 d before")]
    assert np.isnan(lag).all()
    assert not np.isnan(seen.log_base).any()


def test_local_time_follows_the_clock_change() -> None:
    before_ms, after_ms = 1_679_900_400_000 - 2 * 24 * HOUR_MS, 1_679_900_400_000  # 2023-03-27 07:00 UTC
    local = calendar.local(np.array([before_ms, after_ms]), "Europe/Berlin")
    assert ((local - [before_ms, after_ms]) // HOUR_MS).tolist() == [1, 2]
