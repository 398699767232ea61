"""The chain: the best source that has something decides, the others continue, and nothing is ever silent."""

import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pytest
from structlog.testing import capture_logs

from tidewatt.forecasting.chain import Chain
from tidewatt.forecasting.errors import ForecastError
from tidewatt.forecasting.fake import FakeProvider, failing
from tidewatt.forecasting.kind import Basis, Boundary, Kind, Signal
from tidewatt.forecasting.recorded import FileProvider
from tidewatt.forecasting.series import Forecast, Outlook, Rung, Series, Steps, holes, mean, milliseconds

NOW = datetime(2026, 3, 10, 9, 40, tzinfo=UTC)
HOUR = timedelta(hours=1)
MARGINAL = Kind(Signal.MARGINAL, Basis.DIRECT, Boundary.CONSUMPTION, "CO2")
LIVE_AVERAGE = Kind(Signal.AVERAGE, Basis.LIFECYCLE, Boundary.CONSUMPTION)
PRODUCTION = replace(LIVE_AVERAGE, boundary=Boundary.PRODUCTION)
DIRECT = replace(LIVE_AVERAGE, basis=Basis.DIRECT)


def hourly(start: datetime, *values: float) -> Steps:
    start_ms = milliseconds(start) + np.arange(len(values)) * 3_600_000
    return Steps(start_ms, start_ms + 3_600_000, np.array(values, float))


def forecast(kind: Kind, *values: float, age_h: float = 0.0, source: str = "a forecast") -> Forecast:
    """A forecast issued `age_h` before NOW, from the full hour of NOW on."""
    return Forecast("DE", kind, source, NOW - age_h * HOUR, hourly(NOW.replace(minute=0), *values))


def observed(kind: Kind, hours: int, value: float = 100.0, until: datetime = NOW) -> Series:
    end = until.replace(minute=0)
    return Series("DE", kind, "a meter", hourly(end - hours * HOUR, *[value] * hours))


def ahead(chain: Chain, signal: Signal = Signal.AVERAGE, hours: float = 24, zone: str = "DE") -> Outlook:
    outlook = chain.outlook(zone, signal, NOW, NOW + hours * HOUR)
    assert outlook is not None
    assert outlook.segments[0].start == NOW
    assert outlook.segments[-1].end == NOW + hours * HOUR
    assert holes(outlook.steps, NOW, NOW + hours * HOUR) == []
    return outlook


def rungs(outlook: Outlook) -> list[Rung]:
    return [segment.rung for segment in outlook.segments]


def test_without_any_source_the_profile_answers_and_says_so() -> None:
    outlook = ahead(Chain())
    assert rungs(outlook) == [Rung.PROFILE]
    assert outlook.segments[0].source == "built-in profile of DE, 2019-2022"


def test_nothing_is_known_of_an_unknown_zone() -> None:
    assert Chain().outlook("WT:NOWHERE", Signal.AVERAGE, NOW, NOW + HOUR) is None
    assert Chain().latest("WT:NOWHERE", Signal.AVERAGE, NOW) is None


def test_forecast_that_ends_early_is_continued_by_the_same_hours_of_its_own_kind() -> None:
    source = FakeProvider(
        series=[observed(MARGINAL, 7 * 24, 150.0)], forecasts=[forecast(MARGINAL, 200, 210, 220)]
    )
    outlook = ahead(Chain([source]), Signal.MARGINAL)
    assert rungs(outlook) == [Rung.LIVE, Rung.OWN]
    assert outlook.segments[1].start == NOW.replace(minute=0) + 3 * HOUR
    assert outlook.segments[1].source == "mean of the same hours, 7 days (a meter)"
    assert mean(outlook.steps, NOW + 4 * HOUR, NOW + 24 * HOUR) == pytest.approx(150)
    assert outlook.kind == MARGINAL


def test_observations_alone_make_a_forecast() -> None:
    outlook = ahead(Chain([FakeProvider(series=[observed(LIVE_AVERAGE, 48)])]))
    assert rungs(outlook) == [Rung.OWN]
    assert outlook.kind == LIVE_AVERAGE


def test_few_days_of_observations_take_the_profile_over_little_by_little() -> None:
    outlook = ahead(Chain([FakeProvider(series=[observed(LIVE_AVERAGE, 48)])]))
    (segment,) = outlook.segments
    assert segment.source == (
        "built-in profile of DE, 2019-2022, with 1 day of its own observations (a meter)"  # one whole one
    )
    level = mean(outlook.steps, NOW, NOW + 24 * HOUR)
    assert level is not None
    assert 100 < level < 350  # between what was seen and the profile
    week = ahead(Chain([FakeProvider(series=[observed(LIVE_AVERAGE, 8 * 24)])]))
    assert week.segments[0].source == "mean of the same hours, 7 days (a meter)"


def test_profile_continues_an_average_forecast_at_its_level() -> None:
    outlook = ahead(Chain([FakeProvider(forecasts=[forecast(LIVE_AVERAGE, 50, 50, 50)])]))
    assert rungs(outlook) == [Rung.LIVE, Rung.PROFILE]
    assert "built-in profile of DE, 2019-2022, scaled by" in outlook.segments[1].source
    level = mean(outlook.steps, NOW, NOW + 24 * HOUR)
    assert level is not None
    assert level < 100  # the unscaled profile lies near 350


def test_profile_never_continues_a_direct_or_a_marginal_forecast() -> None:
    for kind in (DIRECT, MARGINAL):
        outlook = ahead(Chain([FakeProvider(forecasts=[forecast(kind, 50, 70)])]), kind.signal)
        assert rungs(outlook) == [Rung.LIVE, Rung.OWN]
        assert outlook.segments[1].source == "mean of what is known, held flat"
        assert mean(outlook.steps, NOW + 2 * HOUR, NOW + 24 * HOUR) == pytest.approx(60)


def test_second_source_of_another_boundary_continues_the_first_at_its_level() -> None:
    first = FakeProvider(forecasts=[forecast(LIVE_AVERAGE, 100, 100)])
    second = FakeProvider(forecasts=[forecast(PRODUCTION, *[50.0] * 25, source="another")])
    outlook = ahead(Chain([first, second]))
    assert [s.source for s in outlook.segments] == [
        "a forecast",
        "another, scaled by 2.00 to the level before",
    ]
    assert outlook.steps.gco2_per_kwh.tolist() == pytest.approx([100] * len(outlook.steps.start_ms))


def test_second_source_of_another_basis_is_left_out() -> None:
    first = FakeProvider(forecasts=[forecast(LIVE_AVERAGE, 100, 100)])
    second = FakeProvider(forecasts=[forecast(DIRECT, *[50.0] * 25, source="another")])
    assert "another" not in str(ahead(Chain([first, second])).segments)


def test_no_marginal_signal_leaves_the_average_and_says_so() -> None:
    outlook = ahead(Chain(), Signal.MARGINAL, zone="NG")
    assert outlook.kind.signal is Signal.AVERAGE
    assert outlook.note == "average only: no marginal signal for NG"
    live = forecast(LIVE_AVERAGE, *[7.0] * 25)
    outlook = ahead(Chain([FakeProvider(forecasts=[replace(live, zone="NG")])]), Signal.MARGINAL, zone="NG")
    assert rungs(outlook) == [Rung.LIVE]
    assert outlook.note.startswith("average only")


def test_without_a_marginal_signal_the_usual_one_is_modelled_where_the_mix_is_known() -> None:
    outlook = ahead(Chain(), Signal.MARGINAL)
    assert outlook.kind.signal is Signal.MARGINAL
    assert rungs(outlook) == [Rung.PROFILE]
    assert outlook.segments[0].source.startswith("modelled marginal profile of DE")
    assert outlook.note == "no source has a marginal signal of DE: modelled, not observed"


def test_a_source_with_a_marginal_signal_is_never_continued_by_a_modelled_one() -> None:
    outlook = ahead(Chain([FakeProvider(forecasts=[forecast(MARGINAL, 200, 210, 220)])]), Signal.MARGINAL)
    assert "modelled" not in " ".join(segment.source for segment in outlook.segments)
    assert outlook.kind == MARGINAL


def test_marginal_area_falls_back_on_the_grid_around_it() -> None:
    outlook = ahead(Chain(), Signal.MARGINAL, zone="WT:SGIP_CAISO_PGE")
    assert outlook.zone == "WT:SGIP_CAISO_PGE"
    assert outlook.segments[0].source == "built-in profile of US-CAL-CISO, 2019-2022"
    assert "US-CAL-CISO stands in for WT:SGIP_CAISO_PGE" in outlook.note
    assert "average only" in outlook.note


@pytest.mark.parametrize(
    ("age_h", "expected"),
    [(0, Rung.LIVE), (25, Rung.LIVE), (27, Rung.LAST_GOOD), (95, Rung.LAST_GOOD), (97, Rung.PROFILE)],
)
def test_an_old_forecast_is_last_good_and_then_given_up(age_h: float, expected: Rung) -> None:
    source = FakeProvider(forecasts=[forecast(LIVE_AVERAGE, *[50.0] * 25, age_h=age_h)])
    assert rungs(ahead(Chain([source])))[0] == expected


def test_a_live_second_source_comes_before_the_last_good_of_the_first() -> None:
    old = FakeProvider(forecasts=[forecast(LIVE_AVERAGE, *[50.0] * 25, age_h=40, source="old")])
    new = FakeProvider(forecasts=[forecast(LIVE_AVERAGE, *[60.0] * 25, source="new")])
    assert [s.source for s in ahead(Chain([old, new])).segments] == ["new"]


def test_a_source_that_fails_never_stops_the_chain_and_is_named() -> None:
    with capture_logs() as logs:
        chain = Chain(
            [failing("the grid is on fire"), FakeProvider(forecasts=[forecast(LIVE_AVERAGE, *[7.0] * 25)])]
        )
        outlook = ahead(chain)
        ahead(chain)
    assert rungs(outlook) == [Rung.LIVE]
    assert "fake failed: the grid is on fire" in outlook.note
    assert {entry["event"] for entry in logs} == {"provider.failed"}
    assert len(logs) < 5  # once a question, not once a tick


def test_a_source_that_raises_nonsense_never_stops_the_chain() -> None:
    assert rungs(ahead(Chain([FakeProvider(failure=ZeroDivisionError())]))) == [Rung.PROFILE]
    assert "ZeroDivisionError" in ahead(Chain([FakeProvider(failure=ZeroDivisionError())])).note


def test_a_source_that_fails_later_leaves_its_last_good_forecast() -> None:
    source = FakeProvider(forecasts=[forecast(LIVE_AVERAGE, *[50.0] * 25)])
    chain = Chain([source])
    assert rungs(ahead(chain)) == [Rung.LIVE]
    source.failure = ForecastError("gone", transient=True)
    outlook = ahead(chain)
    assert rungs(outlook) == [Rung.LAST_GOOD]
    assert "gone" in outlook.note
    source.failure = None
    assert rungs(ahead(chain)) == [Rung.LIVE]
    assert ahead(chain).note == ""


def test_hindsight_uses_what_was_observed_later_and_continues_after_it() -> None:
    later = observed(LIVE_AVERAGE, 7 * 24 + 6, 42.0, until=NOW + 6 * HOUR)
    for chain in (
        Chain([FakeProvider(series=[later])], hindsight=True),
        Chain([FakeProvider(series=[later], hindsight=True)]),
    ):
        outlook = ahead(chain)
        assert rungs(outlook) == [Rung.HINDSIGHT, Rung.OWN]
        assert outlook.segments[0].end == NOW.replace(minute=0) + 6 * HOUR
        assert outlook.note == "planned in hindsight: later observations are used"
    assert rungs(ahead(Chain([FakeProvider(series=[later])]))) == [Rung.OWN]


def test_observations_are_of_the_first_source_that_has_any_and_never_of_the_future() -> None:
    later = observed(LIVE_AVERAGE, 30, until=NOW + 6 * HOUR)
    chain = Chain([failing(), FakeProvider(), FakeProvider(series=[later])], hindsight=True)
    seen = chain.observations("DE", Signal.AVERAGE, NOW - 24 * HOUR, NOW + 24 * HOUR, NOW)
    assert seen is not None
    assert seen.source == "a meter"
    assert seen.steps.end_ms[-1] == milliseconds(NOW.replace(minute=0))


def test_observations_are_of_the_first_source_until_what_it_lacks_will_not_come_any_more() -> None:
    lately = FakeProvider("lately", series=[observed(LIVE_AVERAGE, 2)])
    always = FakeProvider("always", series=[observed(PRODUCTION, 48)])
    chain = Chain([lately, always])
    soon = chain.observations("DE", Signal.AVERAGE, NOW - 24 * HOUR, NOW, NOW + 47 * HOUR)
    assert soon is not None
    assert soon.kind == LIVE_AVERAGE
    later = chain.observations("DE", Signal.AVERAGE, NOW - 24 * HOUR, NOW, NOW + 49 * HOUR)
    assert later is not None
    assert later.kind == PRODUCTION


def test_a_source_that_issues_often_says_how_long_its_forecasts_are_live() -> None:
    @dataclass
    class Frequent(FakeProvider):
        live_for: timedelta = HOUR

    fresh = Frequent(forecasts=[forecast(LIVE_AVERAGE, *[50] * 24, age_h=0.5)])
    stale = Frequent(forecasts=[forecast(LIVE_AVERAGE, *[50] * 24, age_h=1.5)])
    assert rungs(ahead(Chain([fresh]), hours=2)) == [Rung.LIVE]
    assert rungs(ahead(Chain([stale]), hours=2)) == [Rung.LAST_GOOD]


def test_profile_and_forecast_are_no_observations() -> None:
    chain = Chain([FakeProvider(forecasts=[forecast(LIVE_AVERAGE, *[50.0] * 25)])])
    assert chain.observations("DE", Signal.AVERAGE, NOW - HOUR, NOW + HOUR, NOW + 2 * HOUR) is None


def test_latest_is_observed_while_fresh_then_predicted() -> None:
    seen = Chain([FakeProvider(series=[observed(LIVE_AVERAGE, 3, 77.0)])]).latest("DE", Signal.AVERAGE, NOW)
    assert seen is not None
    assert (seen.observed, seen.gco2_per_kwh, seen.age) == (True, 77.0, timedelta(minutes=40))
    told = Chain([FakeProvider(forecasts=[forecast(LIVE_AVERAGE, 55, age_h=2)])]).latest(
        "DE", Signal.AVERAGE, NOW
    )
    assert told is not None
    assert (told.observed, told.gco2_per_kwh, told.rung, told.age) == (False, 55.0, Rung.LIVE, 2 * HOUR)
    usual = Chain().latest("DE", Signal.AVERAGE, NOW)
    assert usual is not None
    assert (usual.rung, usual.age) == (Rung.PROFILE, None)


def test_naive_and_backward_times_are_refused() -> None:
    naive = datetime(2026, 3, 10)  # noqa: DTZ001  # what is refused
    with pytest.raises(ForecastError, match="no time zone"):
        Chain().outlook("DE", Signal.AVERAGE, naive, NOW)
    with pytest.raises(ForecastError, match="must end after it starts"):
        Chain().outlook("DE", Signal.AVERAGE, NOW, NOW)


def test_times_of_any_zone_are_taken_and_utc_is_given() -> None:
    west = timezone(-8 * HOUR)
    outlook = Chain().outlook("DE", Signal.AVERAGE, NOW.astimezone(west), (NOW + HOUR).astimezone(west))
    assert outlook is not None
    assert [str(s.start.tzinfo) for s in outlook.segments] == ["UTC"]


def test_broken_file_is_last_good_and_named(tmp_path: Path) -> None:
    path = tmp_path / "grid.csv"
    header = "zone,start,step_s,gco2_per_kwh,signal,basis,boundary,issued_at\n"
    row = f"DE,{NOW.isoformat()},86400,50,average,lifecycle,consumption,{NOW.isoformat()}\n"
    path.write_text(header + row)
    chain = Chain([FileProvider(path)])
    assert rungs(ahead(chain)) == [Rung.LIVE]
    path.write_text(header + row.replace("50", "fifty"))
    outlook = ahead(chain)
    assert rungs(outlook) == [Rung.LAST_GOOD]
    assert "'fifty' is not a number" in outlook.note


@dataclass(slots=True)
class Counting(FakeProvider):
    """Counts how often it is asked for observations; its version never changes."""

    asked: int = 0

    def version(self, zone: str, now: datetime) -> int:
        return 1

    def observations(self, zone: str, kind: Kind, start: datetime, end: datetime, now: datetime) -> Series:
        self.asked += 1
        return FakeProvider.observations(self, zone, kind, start, end, now)


def test_nothing_is_asked_again_while_the_version_stays() -> None:
    source = Counting(series=[observed(LIVE_AVERAGE, 7 * 24)])
    chain = Chain([source])
    begun, ticks = time.process_time(), 500
    for tick in range(ticks):
        now = NOW + timedelta(milliseconds=40 * tick)
        chain.outlook("DE", Signal.AVERAGE, now, now + 48 * HOUR)
    assert source.asked == 1
    assert (time.process_time() - begun) / ticks < 0.0003
