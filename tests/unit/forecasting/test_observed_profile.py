"""A profile is taken over by what is observed of its zone, as days go by."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from tidewatt.forecasting.observed_profile import blended
from tidewatt.forecasting.profile import MEAN, P10, P90, Profile, profile
from tidewatt.forecasting.series import Intensities, Steps, empty, milliseconds

START = datetime(2026, 3, 2, tzinfo=UTC)  # a Monday
HOUR_MS = 3_600_000
NOONS = 400.0 - 200.0 * np.cos(2 * np.pi * (np.arange(24) - 1) / 24)  # by UTC hour, cleanest at 1


def of(zone: str) -> Profile:
    found = profile(zone)
    assert found is not None
    return found


def observed(days: float, step_ms: int = HOUR_MS, scale: float = 1.0) -> Steps:
    """Days that are all alike, from `START`."""
    start = milliseconds(START) + np.arange(0, round(days * 24 * HOUR_MS), step_ms)
    return Steps(start, start + step_ms, scale * NOONS[start // HOUR_MS % 24])


def ahead(usual: Profile, now: datetime) -> Intensities:
    """The next day, by hours that start with `now`."""
    return usual.outlook(now, now + timedelta(days=1)).steps.gco2_per_kwh


def off(usual: Profile, now: datetime) -> float:
    """How far the next day lies from the observed one, mean gCO2/kWh."""
    return float(np.abs(ahead(usual, now) - NOONS).mean())


@pytest.mark.parametrize("zone", ["ES", "DE", "BH"])
def test_the_more_days_were_seen_the_nearer_the_profile_comes(zone: str) -> None:
    """Of modelled, built-in and flat profiles."""
    before = of(zone)
    errors = [off(blended(before, observed(n), START + timedelta(days=n)), START) for n in (0, 1, 7, 28)]
    assert errors[0] > errors[1] > errors[2] > errors[3]
    assert errors[3] < errors[0] / 3


def test_a_week_of_observations_counts_seven_tenths() -> None:
    flat, now = of("BH"), START + timedelta(days=14)
    shape = ahead(blended(flat, observed(14), now), now)
    amplitude = float((shape / shape.mean()).max() - 1)
    assert amplitude == pytest.approx(0.5 * 10 / 13, rel=0.08)  # ten working days of fourteen


def test_level_shape_and_label_say_what_was_learnt() -> None:
    after = blended(of("BH"), observed(30), START + timedelta(days=30))
    assert after.label == "annual mean of Bahrain, 2022 (flat), with 30 days of its own observations"
    assert not after.flat
    assert after.table is not None
    march, september = after.table[2, 0, :, MEAN], after.table[8, 0, :, MEAN]
    assert abs(march.mean() - 400) < abs(september.mean() - 400)  # half a year away counts a tenth
    assert np.ptp(march) > np.ptp(september) > 0


def test_nothing_after_now_is_learnt_from() -> None:
    now = START + timedelta(days=7)
    known = blended(of("ES"), observed(7), now)
    later = observed(60)
    planted = Steps(
        later.start_ms, later.end_ms, np.where(later.end_ms > milliseconds(now), 9e3, later.gco2_per_kwh)
    )
    assert (ahead(blended(of("ES"), planted, now), now) == ahead(known, now)).all()


@pytest.mark.parametrize("steps", [empty(), observed(0.5)])
def test_less_than_a_day_changes_nothing(steps: Steps) -> None:
    assert blended(of("ES"), steps, START + timedelta(days=1)) is of("ES")


def test_five_minute_steps_and_holes_are_learnt_from_as_hours_are() -> None:
    now = START + timedelta(days=20)
    fine = observed(20, step_ms=300_000)
    kept = fine.start_ms // 300_000 % 12 != 7  # every hour lacks five minutes
    holed = Steps(fine.start_ms[kept], fine.end_ms[kept], fine.gco2_per_kwh[kept])
    by_hours = ahead(blended(of("ES"), observed(20), now), now)
    assert ahead(blended(of("ES"), holed, now), now) == pytest.approx(by_hours, rel=1e-6)


def test_bands_widen_where_observations_scatter_and_narrow_where_they_do_not() -> None:
    def width(steps: Steps) -> float:
        table = blended(of("ES"), steps, START + timedelta(days=60)).table
        assert table is not None
        return float(((table[2, ..., P90] - table[2, ..., P10]) / table[2, ..., MEAN]).mean())

    steady = observed(60)
    day = (steady.start_ms - steady.start_ms[0]) // (24 * HOUR_MS)
    scattered = Steps(steady.start_ms, steady.end_ms, steady.gco2_per_kwh * np.where(day % 3 == 0, 0.3, 1.35))
    before = of("ES").table
    assert before is not None
    usual = float(((before[2, ..., P90] - before[2, ..., P10]) / before[2, ..., MEAN]).mean())
    assert width(steady) < usual < width(scattered)
