"""Models trained on a zone's past, and what they predict from it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.unit.forecasting.models.pasts import DAY_H, QUANTITY, QUICK, past, small
from tidewatt.forecasting.backtest.issuing import cut
from tidewatt.forecasting.models.baselines import SameHourMean
from tidewatt.forecasting.models.forecaster import HOUR_MS, History
from tidewatt.forecasting.models.history import of_steps
from tidewatt.forecasting.models.stored import save
from tidewatt.forecasting.models.trained import LONGEST_H
from tidewatt.forecasting.models.training import trained
from tidewatt.forecasting.series import Steps, instant
from tidewatt.forecasting.zones import zone


def test_the_future_changes_nothing_that_is_learnt(tmp_path: Path) -> None:
    honest = past(80 * DAY_H, mixed=True, known_h=70 * DAY_H)
    later = np.arange(80 * DAY_H) >= 70 * DAY_H
    tempted = replace(
        honest,
        gco2_per_kwh=np.where(later, 1e9, honest.gco2_per_kwh),
        mw={fuel: np.where(later, 1e9, power) for fuel, power in honest.mw.items()},
    )
    files = []
    for name, each in (("honest", honest), ("tempted", tempted), ("cut", cut(honest, honest.now_ms))):
        model = trained(each, QUICK, QUANTITY)
        assert model is not None
        save(model, tmp_path / name)
        files.append((tmp_path / name).read_bytes())
        if name != "honest":
            made, first = model.predict(each, 168), model.predict(honest, 168)
            assert made is not None
            assert first is not None
            assert np.array_equal(made.gco2_per_kwh, first.gco2_per_kwh)
    assert files[0] == files[1] == files[2]  # and the same past gives the same model


def test_a_model_beats_the_same_hour_mean_on_what_it_has_not_seen() -> None:
    whole = past(110 * DAY_H)
    origins = np.arange(81 * DAY_H, 103 * DAY_H, 12)
    actual = whole.gco2_per_kwh[origins[:, None] + np.arange(72)]
    made = small(80).issued(whole, origins, 72)
    plain = SameHourMean().issued(whole, origins, 72)
    assert np.abs(made.mean - actual).mean() < 0.9 * np.abs(plain - actual).mean()


def test_the_band_holds_about_four_fifths_of_what_it_has_not_seen() -> None:
    whole = past(200 * DAY_H)
    origins = np.arange(81 * DAY_H, 190 * DAY_H, 12)
    actual = whole.gco2_per_kwh[origins[:, None] + np.arange(168)]
    made = small(80).issued(whole, origins, 168)
    assert (made.p10 <= made.mean).all()
    assert (made.mean <= made.p90).all()
    assert 0.7 < ((made.p10 <= actual) & (actual <= made.p90)).mean() < 0.9


def test_a_prediction_begins_in_the_hour_of_now_and_ends_a_week_after_the_last_observation() -> None:
    now = past(90 * DAY_H)
    made = small().predict(replace(now, now_ms=now.now_ms + HOUR_MS // 2), 400)
    assert made is not None
    assert made.start_ms == now.now_ms
    assert len(made.gco2_per_kwh) == LONGEST_H


def test_observations_that_come_late_are_predicted_too() -> None:
    whole = past(90 * DAY_H)
    prompt = small().predict(whole, 48)
    late = small().predict(replace(whole, now_ms=whole.now_ms + 5 * HOUR_MS), 43)
    assert prompt is not None
    assert late is not None
    assert late.start_ms == prompt.start_ms + 5 * HOUR_MS
    assert np.allclose(late.gco2_per_kwh, prompt.gco2_per_kwh[5:])


@pytest.mark.parametrize("silent_h", [49, 200])
def test_after_two_silent_days_a_model_says_nothing(silent_h: int) -> None:
    whole = past(90 * DAY_H)
    assert small().predict(replace(whole, now_ms=whole.now_ms + silent_h * HOUR_MS), 24) is None


def test_a_source_that_stops_telling_its_mix_does_not_stop_the_model() -> None:
    whole = past(90 * DAY_H, mixed=True)
    with_mix, without = (small(80, mixed=True).predict(each, 24) for each in (whole, replace(whole, mw={})))
    assert with_mix is not None
    assert without is not None
    assert 0.5 < (without.gco2_per_kwh / with_mix.gco2_per_kwh).mean() < 2


def test_less_than_a_week_trains_nothing() -> None:
    assert trained(past(6 * DAY_H), QUICK) is None
    holed = past(30 * DAY_H).gco2_per_kwh.copy()
    holed[3 * DAY_H : 29 * DAY_H] = np.nan
    assert trained(replace(past(30 * DAY_H), gco2_per_kwh=holed), QUICK) is None


@pytest.mark.parametrize("level", [0.0, 17.5])
def test_a_zone_in_which_nothing_moves_is_predicted_as_it_is(level: float) -> None:
    flat = replace(past(70 * DAY_H), gco2_per_kwh=np.full(70 * DAY_H, level))
    model = trained(flat, QUICK)
    assert model is not None
    made = model.predict(flat, 48)
    assert made is not None
    assert np.allclose(made.gco2_per_kwh, max(level, 1.0), rtol=0.01)
    assert model.captured == {}


def test_a_past_full_of_holes_trains_and_predicts() -> None:
    whole = past(80 * DAY_H, mixed=True)
    holes = np.random.default_rng(5).random(80 * DAY_H) < 0.3
    holed = replace(
        whole,
        gco2_per_kwh=np.where(holes, np.nan, whole.gco2_per_kwh),
        mw={fuel: np.where(np.roll(holes, 7), np.nan, power) for fuel, power in whole.mw.items()},
    )
    model = trained(holed, QUICK)
    assert model is not None
    made = model.predict(replace(holed, now_ms=holed.now_ms + 3 * HOUR_MS), 24)
    assert made is not None
    assert np.isfinite(made.gco2_per_kwh).all()


@pytest.mark.parametrize("days", [7, 14, 28])
def test_a_young_model_is_no_worse_than_the_same_hour_mean(days: int, shared_data: Path) -> None:
    ratios = []
    for name in ("CISO", "DE", "NYIS"):
        whole = recorded(shared_data, name)
        for begin in (2000, 9000, 16000):
            model = trained(_part(whole, begin, begin + days * DAY_H), QUICK)
            assert model is not None
            later = _part(whole, begin, begin + (days + 9) * DAY_H)
            origins = np.arange(days * DAY_H, (days + 5) * DAY_H, 6)
            actual = later.gco2_per_kwh[origins[:, None] + np.arange(96)]
            own = model.issued(later, origins, 96).mean
            plain = SameHourMean().issued(later, origins, 96)
            off, plainly_off = (np.nanmean(np.abs(np.log(each / actual))) for each in (own, plain))
            ratios.append(off / plainly_off)
    assert np.mean(ratios) < 1.002
    assert np.max(ratios) < 1.1


def recorded(data: Path, name: str) -> History:
    """The recorded intensity of a zone."""
    import pyarrow.parquet as parquet

    columns = ["zone", "ts", "ci_lifecycle"]
    file = data / "production_mix_hourly_42zones_2019_2022.parquet"
    table = parquet.read_table(file, columns=columns, filters=[("zone", "==", name)])
    start_ms = table["ts"].to_numpy().astype("datetime64[ms]").astype(np.int64)
    values = table["ci_lifecycle"].to_numpy().astype(float)
    end = start_ms + HOUR_MS
    return of_steps(zone(name).key, Steps(start_ms, end, values), instant(int(end[-1])))


def _part(whole: History, first: int, end: int) -> History:
    start_ms = whole.start_ms + first * HOUR_MS
    return replace(
        whole,
        start_ms=start_ms,
        now_ms=whole.start_ms + end * HOUR_MS,
        gco2_per_kwh=whole.gco2_per_kwh[first:end],
    )
