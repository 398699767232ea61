"""ENTSO-E through a strict stand-in: what is asked, believed and told, and the intensity ahead."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from tests.grid import entsoe_server as grid
from tests.grid.asking import PATIENCE_S, SHORT_S, Clock, busy, hang, transport, width_s
from tests.grid.entsoe_server import NOW, EntsoeServer, acknowledged
from tests.grid.server import Fault, Response
from tidewatt.forecasting.errors import ForecastError
from tidewatt.forecasting.feeds.entsoe import NAME, PER_MINUTE, QUIET_S, Entsoe
from tidewatt.forecasting.feeds.feed import FeedError, Fetched
from tidewatt.forecasting.feeds.secret import Secret
from tidewatt.forecasting.feeds.transport import Transport
from tidewatt.forecasting.series import Steps, milliseconds

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
LIFECYCLE = "average lifecycle CO2eq, production"
DIRECT = "average direct CO2eq, production"


@pytest.fixture
def server() -> Iterator[EntsoeServer]:
    with EntsoeServer() as running:
        yield running


def paced(clock: Clock, **options: float) -> Transport:
    """A transport with the platform's own limits, whose waits take no time."""
    timeout_s = (PATIENCE_S, PATIENCE_S)
    return Transport("ENTSO-E", timeout_s=timeout_s, clock=clock, wait=clock.wait, **options)  # type: ignore[arg-type]


def feed(
    server: EntsoeServer, token: str = EntsoeServer.token, through: Transport | None = None, **options: Any
) -> Entsoe:
    config = {"base_url": f"{server.url}/api", **options}
    return Entsoe(config, {"key": Secret(token)} if token else {}, through or transport("ENTSO-E"))


def told(fetched: Fetched, quantity: str) -> Steps:
    found = {each.quantity: each.steps for each in fetched.observed}
    return {**found, **{each.quantity: each.steps for each in fetched.issued}}[quantity]


def true_intensity(at_ms: int) -> float:
    at = datetime.fromtimestamp(at_ms / 1000, UTC)
    mw = {part: shape(at) for part, shape in grid.MIX.items() if part != "B10"}
    factors = {"B01": 230, "B02": 820, "B04": 490, "B16": 45, "B18": 11, "B19": 11}
    return sum(factors[part] * power for part, power in mw.items()) / sum(mw.values())


def test_mix_comes_on_its_own_quarters_and_gives_the_intensity(server: EntsoeServer) -> None:
    fetched = feed(server).fetch_observations("DE", NOW - 6 * HOUR, NOW - 3 * HOUR, NOW)
    intensity = told(fetched, LIFECYCLE)
    assert width_s(intensity) == [900]
    assert len(intensity.start_ms) == 12
    expected = [true_intensity(at) for at in intensity.start_ms.tolist()]
    assert intensity.gco2_per_kwh == pytest.approx(expected)
    assert told(fetched, "mw demand").gco2_per_kwh[0] == grid.demand(NOW - 6 * HOUR)
    assert told(fetched, "mw wind").gco2_per_kwh[0] == grid.wind(NOW - 6 * HOUR) + grid.offshore(
        NOW - 6 * HOUR
    )


@pytest.mark.parametrize("repeating", [True, False])
def test_repeats_left_out_or_not_give_the_same(server: EntsoeServer, repeating: bool) -> None:
    server.repeating = repeating
    fetched = feed(server).fetch_observations("DE", NOW - DAY, NOW - 3 * HOUR, NOW)
    assert len(told(fetched, "mw biomass").start_ms) == 84
    assert len(told(fetched, DIRECT).start_ms) == 84


def test_pumps_are_negative_storage(server: EntsoeServer) -> None:
    noon = NOW.replace(hour=11)
    fetched = feed(server).fetch_observations("DE", noon, noon + HOUR, NOW)
    assert told(fetched, "mw storage").gco2_per_kwh.tolist() == [-3000.0] * 4


def test_newest_steps_that_lack_a_usual_plant_type_are_left_out_and_said(server: EntsoeServer) -> None:
    noon = NOW.replace(hour=12)
    server.now = noon
    fetched = feed(server).fetch_observations("DE", noon - 6 * HOUR, noon, noon)
    assert told(fetched, LIFECYCLE).end_ms[-1] == milliseconds(noon - 2 * HOUR)
    assert "ENTSO-E: B16 comes later than the rest: the newest steps wait" in fetched.notes


def test_gap_in_a_plant_type_of_weight_is_a_hole_in_the_intensity(server: EntsoeServer) -> None:
    server.gaps = {("B02", NOW - 5 * HOUR), ("B02", NOW - 5 * HOUR + timedelta(minutes=15))}
    fetched = feed(server).fetch_observations("DE", NOW - 6 * HOUR, NOW - 3 * HOUR, NOW)
    assert len(told(fetched, LIFECYCLE).start_ms) == 10
    assert len(told(fetched, "mw gas").start_ms) == 12


def test_whole_span_is_one_call_of_each_kind(server: EntsoeServer) -> None:
    server.late = {}
    asking = feed(server)
    fetched = asking.fetch_observations("DE", NOW - asking.cadence.span, NOW, NOW)
    assert len(server.requests) == 2
    assert len(told(fetched, LIFECYCLE).start_ms) == 14 * 96 - 4


def test_forecasts_of_wind_sun_load_and_generation_are_issued_as_of_now(server: EntsoeServer) -> None:
    now = NOW + timedelta(minutes=20)
    server.now = now
    fetched = feed(server).fetch_forecast("DE", now)
    assert {each.issued_at for each in fetched.issued} == {now}
    assert {"mw wind", "mw solar", "mw demand", "mw generation"} <= {each.quantity for each in fetched.issued}
    wind = told(fetched, "mw wind")
    assert wind.start_ms[0] == milliseconds(NOW + timedelta(minutes=15))
    assert wind.end_ms[-1] == milliseconds(datetime(2026, 3, 3, tzinfo=UTC))
    assert [(each.value("documentType"), each.value("processType")) for each in server.requests[:5]] == [
        ("A69", "A18"),
        ("A69", "A40"),
        ("A69", "A01"),
        ("A65", "A01"),
        ("A71", "A01"),
    ]


def test_current_forecast_of_wind_goes_before_that_of_the_day_before(server: EntsoeServer) -> None:
    server.wind_error = 2.0
    wind = told(feed(server).fetch_forecast("DE", NOW), "mw wind")
    soon, late = NOW + HOUR, NOW + 20 * HOUR
    found = dict(zip(wind.start_ms.tolist(), wind.gco2_per_kwh.tolist(), strict=True))
    assert found[milliseconds(soon)] == pytest.approx(1.2 * grid.wind(soon), rel=0.001)
    assert found[milliseconds(late)] == pytest.approx(2.4 * grid.wind(late), rel=0.001)


def test_intensity_ahead_follows_from_wind_sun_and_load(server: EntsoeServer) -> None:
    fetched = feed(server).fetch_forecast("DE", NOW)
    ahead = told(fetched, LIFECYCLE)
    assert ahead.end_ms[-1] == milliseconds(datetime(2026, 3, 3, tzinfo=UTC))
    true = np.array([true_intensity(at) for at in ahead.start_ms.tolist()])
    assert np.abs(ahead.gco2_per_kwh - true).mean() < 0.05 * true.mean()
    assert any(
        note.startswith(f"{LIFECYCLE}: from forecast wind, solar and load, by the residual load")
        for note in fetched.notes
    )


def test_only_what_is_new_is_asked_for_when_the_intensity_is_forecast_again(server: EntsoeServer) -> None:
    asking = feed(server)
    asking.fetch_forecast("DE", NOW)
    server.now = NOW + HOUR
    again = asking.fetch_forecast("DE", server.now)
    starts = [each.value("periodStart") for each in server.requests if each.value("documentType") == "A75"]
    assert starts == ["202602011900", "202602151900", "202602262000"]
    fresh = feed(server).fetch_forecast("DE", server.now)
    assert told(again, LIFECYCLE).gco2_per_kwh == pytest.approx(told(fresh, LIFECYCLE).gco2_per_kwh, rel=0.02)


def test_without_a_forecast_of_the_load_there_is_none_of_the_intensity(server: EntsoeServer) -> None:
    server.fail(Fault(response=acknowledged("No matching data found"), times=5))
    fetched = feed(server).fetch_forecast("DE", NOW)
    assert fetched.issued == ()
    assert fetched.notes == ("no forecast of the load: none of the intensity",)


def test_without_the_past_mix_the_other_forecasts_are_kept(server: EntsoeServer) -> None:
    asking = feed(server)
    asking.fetch_forecast("DE", NOW)
    server.fail(Fault(response=acknowledged("No matching data found"), times=3))
    server.fail(Fault(alter=None, times=2))
    server.fail(Fault(response=Response(400, acknowledged("too much").content())))
    fetched = asking.fetch_forecast("DE", NOW)
    assert {each.quantity for each in fetched.issued} == {"mw demand", "mw generation"}
    assert fetched.notes == (
        "no forecast of the intensity: ENTSO-E's document A75/A16 is a refusal: too much",
    )


def test_area_without_data_is_no_error(server: EntsoeServer) -> None:
    server.delay = timedelta(days=9)
    fetched = feed(server).fetch_observations("FR", NOW - 6 * HOUR, NOW, NOW)
    assert (fetched.observed, fetched.notes) == ((), ())


@pytest.mark.parametrize("zone", ["US-CAL-CISO", "GB", "nowhere"])
def test_zones_outside_europe_have_nothing(server: EntsoeServer, zone: str) -> None:
    asking = feed(server)
    assert asking.quantities(zone) == ()
    with pytest.raises(FeedError, match="has no area for the zone") as refused:
        asking.fetch_forecast(zone, NOW)
    assert refused.value.denied
    assert not server.requests


def test_everything_that_comes_was_announced(server: EntsoeServer) -> None:
    asking = feed(server)
    fetched = asking.fetch_observations("DE", NOW - DAY, NOW, NOW)
    ahead = asking.fetch_forecast("DE", NOW)
    announced = {*asking.quantities("DE")}
    assert {each.quantity for each in fetched.observed} <= announced
    assert {each.quantity for each in ahead.issued} <= announced


def test_area_that_the_platform_does_not_know_is_a_refusal_with_its_words(server: EntsoeServer) -> None:
    with pytest.raises(FeedError, match="is a refusal: Delivered in_Domain is not valid for this area"):
        feed(server).fetch_observations("PL", NOW - DAY, NOW, NOW)


def test_wrong_token_is_denied_and_never_shown(server: EntsoeServer) -> None:
    with pytest.raises(
        FeedError, match=r"does not accept this token \(401\): check ENTSOE_API_KEY"
    ) as refused:
        feed(server, "wrong-token-55").fetch_forecast("DE", NOW)
    assert refused.value.denied
    assert "wrong-token-55" not in str(refused.value) + repr(refused.value)


def test_missing_token_says_where_it_belongs(server: EntsoeServer) -> None:
    with pytest.raises(FeedError, match="needs a token: set ENTSOE_API_KEY, or key under"):
        feed(server, "").fetch_forecast("DE", NOW)
    assert not server.requests


def test_pace_stays_below_the_platforms_ban(server: EntsoeServer) -> None:
    """The stand-in bans whoever calls more than 400 times in a minute of its time, which is the clock's."""
    server.delay = timedelta(days=9)
    clock = Clock()
    asking = feed(server, through=paced(clock, per_minute=PER_MINUTE))
    for _ in range(220):
        server.now = NOW + timedelta(seconds=clock.at)
        asking.fetch_observations("DE", NOW - DAY, NOW, NOW)
    assert len(server.requests) == 440
    assert clock.at > 60


def test_ban_is_waited_for(server: EntsoeServer) -> None:
    clock = Clock()
    asking = feed(server, through=paced(clock, quiet_s=QUIET_S))
    server.fail(busy())
    with pytest.raises(FeedError, match="answered 429: too many calls") as refused:
        asking.fetch_forecast("DE", NOW)
    assert refused.value.transient
    assert (refused.value.retry_after_s or 0) >= 600
    clock.at += 300
    with pytest.raises(FeedError, match="is not asked for another"):
        asking.fetch_forecast("DE", NOW)
    assert len(server.requests) == 1


def test_service_that_hangs_is_left_and_tried_later(server: EntsoeServer) -> None:
    event = hang(server)
    with pytest.raises(FeedError, match="did not answer in time") as refused:
        feed(server, through=transport("ENTSO-E", patience_s=SHORT_S)).fetch_forecast("DE", NOW)
    event.set()
    assert refused.value.transient


def test_dropped_connections_are_tried_again_at_once(server: EntsoeServer) -> None:
    server.fail(Fault(drop=True))
    server.fail(Fault(drop=True, after_bytes=150))
    assert feed(server).fetch_forecast("DE", NOW).issued


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"", "is not XML"),
        (b"{}", "is not XML"),
        (b"<html><body>maintenance</body></html>", "is of an unknown kind, html"),
        (b"<!DOCTYPE html><html></html>", "declares a document type"),
    ],
)
def test_body_of_another_form_is_one_clear_sentence(server: EntsoeServer, body: bytes, sentence: str) -> None:
    server.fail(Fault(response=Response(200, body)))
    with pytest.raises(FeedError, match=sentence):
        feed(server).fetch_forecast("DE", NOW)


def test_access_tells_what_the_platform_has(server: EntsoeServer) -> None:
    access = feed(server).access("DE", NOW)
    assert access.may == ("history", "forecast", "wind, solar and load forecasts")
    assert access.detail.startswith("area 10Y1001A1001A82H: newest 1.0 h ago; intensity ahead: error 0.04")


def test_wrong_options_are_refused(server: EntsoeServer) -> None:
    with pytest.raises(ForecastError, match=f"the source {NAME} has no option 'domain'"):
        feed(server, domain="DE")
