"""Forecasts shrunk towards what is usual, by what their source has shown."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from tidewatt.forecasting.chain import Chain
from tidewatt.forecasting.fake import FakeProvider, failing
from tidewatt.forecasting.hours import HOUR_MS
from tidewatt.forecasting.kind import Basis, Boundary, Kind, Signal
from tidewatt.forecasting.reputation import Advice
from tidewatt.forecasting.series import Forecast, Outlook, Rung, Segment, Series, Steps, milliseconds
from tidewatt.forecasting.shrinkage import Shrinker, shrunk
from tidewatt.forecasting.skill import Floats
from tidewatt.forecasting.witnesses import HOURS

KIND = Kind(Signal.AVERAGE, Basis.LIFECYCLE, Boundary.PRODUCTION)
START = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAYS = 40
NOW = START + timedelta(days=DAYS)
REACH_H = 48


def truth(days: int = DAYS + 4, seed: int = 1) -> Floats:
    """A daily swing with weather on it that lasts for hours."""
    random = np.random.default_rng(seed)
    weather = np.zeros(24 * days)
    for hour in range(1, len(weather)):
        weather[hour] = 0.95 * weather[hour - 1] + random.normal(0, 15)
    return np.asarray(400 + 80 * np.sin(np.arange(24 * days) * np.pi / 12) + weather, float)


def steps(value: Floats, start: datetime) -> Steps:
    start_ms = milliseconds(start) + HOUR_MS * np.arange(len(value))
    return Steps(start_ms, start_ms + HOUR_MS, value)


def issued(value: Floats, noise: float, seed: int = 2, every_h: int = 3) -> list[Forecast]:
    """Forecasts of the truth, each with an error of its own."""
    random = np.random.default_rng(seed)
    return [
        Forecast(
            "DE",
            KIND,
            "fake",
            START + hour * HOUR,
            steps(
                value[hour : hour + REACH_H] + random.normal(0, noise or 1e-9, REACH_H), START + hour * HOUR
            ),
        )
        for hour in range(0, len(value) - REACH_H, every_h)
    ]


def provider(value: Floats, forecasts: Sequence[Forecast] = ()) -> FakeProvider:
    return FakeProvider(series=[Series("DE", KIND, "fake", steps(value, START))], forecasts=list(forecasts))


def outlook(given: FakeProvider, now: datetime = NOW, hours: int = REACH_H) -> Outlook:
    made = Shrinker(Chain([given])).outlook("DE", Signal.AVERAGE, now, now + hours * HOUR)
    assert made is not None
    return made


def error(made: Outlook, value: Floats, now: datetime = NOW) -> float:
    """Root mean square error in gCO2/kWh."""
    first = round((now - START) / HOUR)
    off = made.steps.gco2_per_kwh - value[first : first + len(made.steps.start_ms)]
    return float(np.sqrt(np.mean(off**2)))


def test_forecasts_that_always_came_true_stay_as_they_are() -> None:
    value = truth()
    assert error(outlook(provider(value, issued(value, 0.0))), value) < 2


def test_forecasts_of_pure_chance_become_what_is_usual() -> None:
    value = truth()
    plain = Chain([provider(value, issued(value, 300))]).outlook(
        "DE", Signal.AVERAGE, NOW, NOW + REACH_H * HOUR
    )
    usual = outlook(provider(value))
    made = outlook(provider(value, issued(value, 300)))
    assert plain is not None
    assert error(plain, value) > 200
    assert error(made, value) < 1.3 * error(usual, value)


def test_noise_that_every_issue_draws_anew_averages_out() -> None:
    """The newest of the noise of 60 alone cannot come nearer than that."""
    value = truth()
    assert error(outlook(provider(value, issued(value, 60, every_h=1))), value) < 35


def test_a_source_that_is_always_too_high_is_brought_to_the_level_of_what_is_observed() -> None:
    value = truth()
    made = outlook(provider(value, issued(value + 100, 5)))
    assert abs(made.steps.gco2_per_kwh.mean() - value[24 * DAYS : 24 * DAYS + REACH_H].mean()) < 15


def test_the_band_holds_about_four_fifths_of_what_then_comes() -> None:
    value = truth(DAYS + 30)
    given = provider(value, issued(value, 60))
    shrinker, inside = Shrinker(Chain([given])), []
    for day in range(DAYS, DAYS + 26):
        now = START + timedelta(days=day)
        made = shrinker.outlook("DE", Signal.AVERAGE, now, now + REACH_H * HOUR)
        assert made is not None
        assert made.p10 is not None
        assert made.p90 is not None
        came = value[24 * day : 24 * day + REACH_H]
        inside.append(np.mean((made.p10 <= came) & (came <= made.p90)))
    assert 0.7 < np.mean(inside) < 0.9


def test_a_note_says_how_much_was_believed() -> None:
    value = truth()
    note = outlook(provider(value, issued(value, 60))).note
    assert note.startswith("shrunk towards the mean of the same hours: of what fake told besides, ")
    assert "24 h ahead (28 days)" in note


def test_the_mean_of_the_same_hours_takes_up_what_was_last_seen() -> None:
    value = truth()
    value[24 * DAYS - 3 :] += 150
    given = provider(value)
    plain = Chain([given]).outlook("DE", Signal.AVERAGE, NOW, NOW + 6 * HOUR)
    made = outlook(given, hours=6)
    assert plain is not None
    assert made.segments == plain.segments
    assert error(made, value) < 0.6 * error(plain, value)
    assert "takes up" in made.note


def test_forecasts_without_any_observed_past_stay_as_they_are() -> None:
    value = truth()
    given = FakeProvider(forecasts=issued(value, 60))
    made = outlook(given)
    plain = Chain([given]).outlook("DE", Signal.AVERAGE, NOW, NOW + REACH_H * HOUR)
    assert plain is not None
    assert made.steps.gco2_per_kwh.tolist() == plain.steps.gco2_per_kwh.tolist()
    assert made.note == ""


def test_the_first_forecasts_of_a_source_stay_until_a_day_of_them_was_observed() -> None:
    value = truth()
    young = [each for each in issued(value, 60) if each.issued_at > NOW - 20 * HOUR]
    assert "shrunk" not in outlook(provider(value, young)).note


def test_later_observations_are_left_alone() -> None:
    value = truth()
    given = provider(value, issued(value, 60))
    made = Shrinker(Chain([given], hindsight=True)).outlook("DE", Signal.AVERAGE, NOW, NOW + 24 * HOUR)
    assert made is not None
    assert made.segments[0].rung is Rung.HINDSIGHT
    assert error(made, value) == 0


def test_nothing_that_came_later_changes_what_was_said() -> None:
    value = truth()
    whole = provider(value, issued(value, 60))
    known = provider(value[: 24 * DAYS], [each for each in whole.forecasts if each.issued_at <= NOW])
    assert outlook(whole).steps.gco2_per_kwh.tolist() == outlook(known).steps.gco2_per_kwh.tolist()


def test_what_it_says_does_not_depend_on_what_was_asked_before() -> None:
    value = truth()
    given = provider(value, issued(value, 60))
    shrinker = Shrinker(Chain([given]))
    for hours in (0, 30, 31, 3):  # the clock of a replay goes back too
        now = NOW - 48 * HOUR + hours * HOUR + timedelta(minutes=7)
        made = shrinker.outlook("DE", Signal.AVERAGE, now, now + 24 * HOUR)
        fresh = outlook(given, now, 24)
        assert made is not None
        assert made.steps.gco2_per_kwh.tolist() == fresh.steps.gco2_per_kwh.tolist()
        assert made.note == fresh.note


def test_a_forecast_of_another_boundary_is_shrunk_at_the_level_it_is_brought_to() -> None:
    """The first source ends after 24 h; a second one, of consumption, goes on at twice the level."""
    value = truth()
    other = replace(KIND, boundary=Boundary.CONSUMPTION)
    near = provider(
        value,
        [
            replace(each, steps=steps(each.steps.gco2_per_kwh[:24], each.issued_at))
            for each in issued(value, 1)
        ],
    )
    far = FakeProvider(
        "far",
        [Series("DE", other, "far", steps(2 * value, START))],
        [replace(each, kind=other, source="far") for each in issued(2 * value, 100)],
    )
    made = Shrinker(Chain([near, far])).outlook("DE", Signal.AVERAGE, NOW, NOW + REACH_H * HOUR)
    assert made is not None
    assert made.segments[1].source.startswith("far, scaled by 0.")
    assert error(made, value) < 45


def test_a_source_that_fails_is_no_reason_to_fail() -> None:
    made = Shrinker(Chain([failing()])).outlook("DE", Signal.AVERAGE, NOW, NOW + 24 * HOUR)
    assert made is not None
    assert made.segments[0].rung is Rung.PROFILE
    assert "failed" in made.note


def test_of_an_unknown_zone_nothing_is_known() -> None:
    assert Shrinker(Chain()).outlook("WT:NOWHERE", Signal.AVERAGE, NOW, NOW + HOUR) is None


def test_observations_and_the_intensity_now_are_those_of_the_chain() -> None:
    value = truth()
    given = provider(value, issued(value, 60))
    shrinker, chain = Shrinker(Chain([given])), Chain([given])
    seen = shrinker.observations("DE", Signal.AVERAGE, NOW - 5 * HOUR, NOW, NOW)
    assert seen is not None
    assert seen.steps.gco2_per_kwh.tolist() == value[24 * DAYS - 5 : 24 * DAYS].tolist()
    assert shrinker.latest("DE", Signal.AVERAGE, NOW) == chain.latest("DE", Signal.AVERAGE, NOW)


def test_without_advice_an_outlook_stays_itself() -> None:
    plain = Chain().outlook("DE", Signal.AVERAGE, NOW, NOW + HOUR)
    assert plain is not None
    assert shrunk(plain, {}) is plain


@pytest.mark.parametrize("lag_h", [1, 5, 26])
def test_observations_that_come_late_are_no_hindrance(lag_h: int) -> None:
    value = truth()
    late = provider(value[: 24 * DAYS - lag_h], issued(value, 60))
    assert error(outlook(late), value) < 50


class OnlyNewest(FakeProvider):
    """A provider that breaks the contract: whatever it is asked, it answers with its newest forecast."""

    def forecast(self, zone: str, kind: Kind, now: datetime) -> Forecast | None:
        return max(self.forecasts, key=lambda each: each.issued_at)


def test_a_provider_that_only_knows_its_newest_forecast_is_taken_as_it_tells() -> None:
    value = truth()
    given = OnlyNewest(
        series=provider(value).series, forecasts=[f for f in issued(value, 60) if f.issued_at <= NOW]
    )
    assert "shrunk" not in outlook(given).note


def test_a_past_that_cannot_be_reckoned_with_leaves_the_forecast_as_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    value = truth()
    given = provider(value, issued(value, 60))
    monkeypatch.setattr("tidewatt.forecasting.reputation.learn", lambda *_: 1 / 0)
    made = outlook(given)
    plain = Chain([given]).outlook("DE", Signal.AVERAGE, NOW, NOW + REACH_H * HOUR)
    assert plain is not None
    assert made.steps.gco2_per_kwh.tolist() == plain.steps.gco2_per_kwh.tolist()
    assert made.note == "as told: it could not be shrunk"


def test_hours_that_a_source_told_below_zero_stay_apart() -> None:
    told = steps(np.array([-80.0, -20.0, 5.0, 300.0]), NOW)
    plain = Outlook("DE", KIND, told, (Segment(NOW, NOW + 4 * HOUR, Rung.LIVE, "fake"),))
    nothing = np.zeros(HOURS)
    advice = Advice(
        milliseconds(NOW) // HOUR_MS,
        np.full(24, 50.0),
        nothing + 0.9,
        nothing - 20,
        nothing - 30,
        nothing + 30,
    )
    made = shrunk(plain, {0: advice})
    assert made.steps.gco2_per_kwh == pytest.approx([-87.0, -33.0, 0.0, 255.0])
    assert made.p10 == pytest.approx([-117.0, -63.0, 0.0, 225.0])
