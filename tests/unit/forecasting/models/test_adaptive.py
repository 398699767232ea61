"""A regression on weather that learns a zone's answer to wind, forgets the old one, and sees no future."""

from dataclasses import replace

import numpy as np

from tests.unit.forecasting.models.pasts import DAY_H, QUICK, START_MS
from tests.unit.forecasting.models.skies import LATE_H, windy
from tidewatt.forecasting.backtest.issuing import cut
from tidewatt.forecasting.models.adaptive import HALF_LIFE_D, columns, forgetting
from tidewatt.forecasting.models.features import columns as all_columns
from tidewatt.forecasting.models.forecaster import HOUR_MS, History
from tidewatt.forecasting.models.training import trained

DAYS = 70
HOURS = np.arange(96)
ORIGINS = np.array([40 * DAY_H + LATE_H, 55 * DAY_H + 17, 62 * DAY_H + LATE_H])


def answers(history: History, origins: np.ndarray) -> dict[str, np.ndarray]:
    """Features by name, logarithms given against 0."""
    moments_ms = START_MS + origins * HOUR_MS
    names, x = columns(history, origins, HOURS, moments_ms, np.zeros((len(origins), len(HOURS))))
    return {name: x[..., number] for number, name in enumerate(names)}


def test_it_foresees_the_intensity_of_a_wind_that_it_was_told_of() -> None:
    zone = windy(DAYS, mixed=True)
    origin = ORIGINS[-1:]
    there = zone.gco2_per_kwh[origin[0] + HOURS]
    made = answers(zone, origin)
    assert there.max() > 1.3 * there.min()
    assert np.abs(made["adaptive"][0] - np.log(there)).max() < 0.01
    share = zone.mw["wind"] / (zone.mw["wind"] + zone.mw["gas"])
    assert np.abs(made["adaptive share of wind"][0] - share[origin[0] + HOURS]).max() < 0.02
    assert np.abs(made["adaptive, error of the last 24 h"]).max() < 0.01


def test_the_future_changes_no_feature() -> None:
    honest = windy(DAYS, mixed=True)
    assert honest.weather is not None
    for origin in ORIGINS:
        later = np.arange(DAYS * DAY_H) >= origin
        unborn = honest.weather.available_ms > START_MS + origin * HOUR_MS
        told = {name: np.where(unborn[:, None], 1e6, said) for name, said in honest.weather.values.items()}
        tempted = replace(
            honest,
            gco2_per_kwh=np.where(later, 1e9, honest.gco2_per_kwh),
            mw={fuel: np.where(later, 1e9, power) for fuel, power in honest.mw.items()},
            weather=replace(honest.weather, values=told),
        )
        planted = answers(tempted, np.array([origin]))
        for name, seen in answers(honest, np.array([origin])).items():
            assert np.array_equal(seen, planted[name], equal_nan=True), name


def test_many_issues_at_once_are_as_each_from_what_was_known_then() -> None:
    whole = windy(DAYS, mixed=True)
    together = answers(whole, ORIGINS)
    for row, origin in enumerate(ORIGINS.tolist()):
        alone = answers(cut(whole, START_MS + origin * HOUR_MS), np.array([origin]))
        for name, seen in alone.items():
            assert np.allclose(seen[0], together[name][row], equal_nan=True), name


def test_what_changed_is_learned_as_the_old_fades() -> None:
    random = np.random.default_rng(3)
    days = 4 * int(HALF_LIFE_D)
    x = np.stack([np.ones((days, DAY_H)), random.normal(size=(days, DAY_H))], axis=-1)
    slope = np.where(np.arange(days) < days / 2, 1.0, 2.0)[:, None]
    y = (slope * x[..., 1])[..., None]
    found = forgetting(x, y, np.array([days // 2, days]))[:, 1, 0]
    assert abs(found[0] - 1) < 0.01
    assert abs(found[1] - 1.8) < 0.05  # two half-lives old: the old answer has a fifth of the weight


def test_holes_do_not_count() -> None:
    zone = windy(DAYS)
    holed = np.where(np.random.default_rng(1).random(len(zone.gco2_per_kwh)) < 0.3, np.nan, zone.gco2_per_kwh)
    made = answers(replace(zone, gco2_per_kwh=holed), ORIGINS)["adaptive"]
    assert np.abs(made - np.log(zone.gco2_per_kwh[ORIGINS[:, None] + HOURS])).max() < 0.04


def test_a_mix_that_fails_takes_nothing_else_along() -> None:
    zone = windy(DAYS, mixed=True)
    dead = replace(zone, mw={fuel: np.full(len(power), np.nan) for fuel, power in zone.mw.items()})
    there, gone = answers(zone, ORIGINS), answers(dead, ORIGINS)
    assert np.array_equal(there["adaptive"], gone["adaptive"])
    assert np.isnan(gone["adaptive share of wind"]).all()


def test_less_than_a_week_says_nothing() -> None:
    made = answers(windy(12), np.array([6 * DAY_H]))["adaptive"]
    assert np.isnan(made).all()


def test_a_zone_without_weather_has_no_such_features() -> None:
    zone = replace(windy(DAYS), weather=None)
    names = all_columns(zone, ORIGINS, HOURS).names
    assert not [name for name in names if name.startswith("adaptive")]


def test_a_trained_model_sees_the_storm_that_its_weather_tells_of() -> None:
    days = 100
    zone = windy(days)
    at = (days - 5) * DAY_H + LATE_H
    model = trained(cut(zone, START_MS + at * HOUR_MS), QUICK)
    blind = trained(cut(replace(zone, weather=None), START_MS + at * HOUR_MS), QUICK)
    assert model is not None
    assert blind is not None
    there = zone.gco2_per_kwh[at : at + 96]
    errors = []
    for each, past in ((model, zone), (blind, replace(zone, weather=None))):
        made = each.predict(cut(past, START_MS + at * HOUR_MS), 96)
        assert made is not None
        errors.append(np.abs(made.gco2_per_kwh / there - 1).mean())
    assert errors[0] < 0.5 * errors[1]
