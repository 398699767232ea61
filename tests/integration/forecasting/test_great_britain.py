"""The GB Carbon Intensity API through a strict stand-in: what is asked, believed and told."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from tests.grid.asking import PATIENCE_S, SHORT_S, busy, hang, issued, observed, transport, width_s
from tests.grid.great_britain_server import GreatBritainServer
from tests.grid.server import NOON, Fault, Response, altered
from tidewatt.forecasting.errors import ForecastError
from tidewatt.forecasting.feeds.feed import FeedError
from tidewatt.forecasting.feeds.great_britain import GreatBritain
from tidewatt.forecasting.series import milliseconds

HALF = timedelta(minutes=30)
DAY = timedelta(days=1)


@pytest.fixture
def server() -> Iterator[GreatBritainServer]:
    with GreatBritainServer() as running:
        yield running


def feed(server: GreatBritainServer, patience_s: float = PATIENCE_S, **options: Any) -> GreatBritain:
    asking = transport("GB Carbon Intensity", patience_s=patience_s)
    return GreatBritain({"base_url": server.url, **options}, {}, asking)


def test_forecast_of_48_hours_is_taken_as_issued_this_half_hour(server: GreatBritainServer) -> None:
    now = NOON + timedelta(minutes=44)
    (only,) = feed(server).fetch_forecast("GB", now).issued
    assert only.quantity == "average direct CO2, consumption"
    assert only.issued_at == NOON + HALF
    assert len(only.steps.start_ms) == 96
    assert width_s(only.steps) == [1800]
    assert only.steps.start_ms[0] == milliseconds(NOON + HALF)
    assert only.steps.gco2_per_kwh[0] == server.forecast(NOON + HALF)
    assert server.requests[0].path == "/intensity/2026-03-01T12:31Z/fw48h"


def test_actual_values_are_observations_and_forecasts_of_the_past_are_not(server: GreatBritainServer) -> None:
    fetched = feed(server).fetch_observations("GB", NOON - DAY, NOON, NOON)
    steps = observed(fetched)
    assert steps.end_ms[-1] == milliseconds(NOON - HALF)  # the newest has no actual value yet
    assert fetched.notes == ()  # which is as usual
    assert len(steps.start_ms) == 47
    assert steps.gco2_per_kwh[0] == server.forecast(NOON - DAY) + 2


def test_whole_span_is_one_call_that_the_service_allows(server: GreatBritainServer) -> None:
    asking = feed(server)
    end = NOON - DAY
    steps = observed(asking.fetch_observations("GB", end - asking.cadence.span, end, NOON))
    assert len(steps.start_ms) == 13 * 48
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("options", "path", "region"),
    [
        ({"region_id": 13}, "/regional/intensity/2026-03-01T12:01Z/fw48h/regionid/13", 13),
        ({"postcode": "rg10"}, "/regional/intensity/2026-03-01T12:01Z/fw48h/postcode/RG10", 12),
    ],
)
def test_regional_forecast(
    server: GreatBritainServer, options: dict[str, Any], path: str, region: int
) -> None:
    steps = issued(feed(server, **options).fetch_forecast("GB", NOON))
    assert server.requests[0].path == path
    assert len(steps.start_ms) == 96
    assert steps.gco2_per_kwh[0] == server.forecast(NOON, region)


def test_region_may_come_as_a_list_of_one(server: GreatBritainServer) -> None:
    server.fail(Fault(alter=altered(lambda body: {"data": [body["data"]]})))
    assert len(issued(feed(server, region_id=13).fetch_forecast("GB", NOON)).start_ms) == 96


def test_regions_are_not_observed(server: GreatBritainServer) -> None:
    asking = feed(server, region_id=13)
    fetched = asking.fetch_observations("GB", NOON - DAY, NOON, NOON)
    assert (fetched.observed, fetched.notes) == (
        (),
        ("the GB Carbon Intensity API observes no regions, it only models them",),
    )
    assert asking.cadence.observed_every is None
    assert not server.requests


def test_answer_for_another_region_is_refused(server: GreatBritainServer) -> None:
    def change(body: dict[str, Any]) -> None:
        body["data"]["regionid"] = 2

    server.fail(Fault(alter=altered(change)))
    with pytest.raises(FeedError, match="answered for region 2, not 13: refused"):
        feed(server, region_id=13).fetch_forecast("GB", NOON)


def test_several_regions_are_refused(server: GreatBritainServer) -> None:
    server.fail(Fault(alter=altered(lambda body: {"data": [body["data"], body["data"]]})))
    with pytest.raises(FeedError, match="sent 2 regions where one was asked for"):
        feed(server, region_id=13).fetch_forecast("GB", NOON)


def test_unknown_region_is_refused(server: GreatBritainServer) -> None:
    with pytest.raises(FeedError, match=r"refused the request \(404\): No such region") as refused:
        feed(server, region_id=5).fetch_forecast("GB", NOON)
    assert refused.value.denied


def test_unknown_postcode_is_told_in_the_services_words(server: GreatBritainServer) -> None:
    with pytest.raises(FeedError, match=r"\(400\): Please enter a valid postcode"):
        feed(server, postcode="ZZ9").fetch_forecast("GB", NOON)


@pytest.mark.parametrize("body", [b"", b"{}", b'{"data": []}', b'{"data": {"regionid": 13, "data": []}}'])
def test_empty_answers_are_no_error(server: GreatBritainServer, body: bytes) -> None:
    server.fail(Fault(response=Response(200, body), times=2))
    forecast = feed(server).fetch_forecast("GB", NOON)
    assert (forecast.issued, forecast.notes) == (
        (),
        ("the GB Carbon Intensity API sent an empty forecast",),
    )
    history = feed(server).fetch_observations("GB", NOON - DAY, NOON, NOON)
    assert len(observed(history).start_ms) == 0
    assert history.notes == ("the GB Carbon Intensity API sent an empty history",)


def test_31_of_96_half_hours_are_used_and_said(server: GreatBritainServer) -> None:
    server.fail(Fault(alter=altered(lambda body: {"data": body["data"][:31]})))  # type: ignore[index]
    fetched = feed(server).fetch_forecast("GB", NOON)
    assert len(issued(fetched).start_ms) == 31
    assert fetched.notes == ("the GB Carbon Intensity API: 31 of 96 half-hours of a forecast",)


def test_null_in_the_middle_of_a_forecast_is_a_hole(server: GreatBritainServer) -> None:
    def change(body: dict[str, Any]) -> None:
        body["data"][4]["intensity"]["forecast"] = None

    server.fail(Fault(alter=altered(change)))
    fetched = feed(server).fetch_forecast("GB", NOON)
    assert len(issued(fetched).start_ms) == 95
    assert fetched.notes[0] == "the GB Carbon Intensity API: forecast: 1 without a value, left open"


def test_actual_value_that_is_null_in_the_middle_is_a_hole(server: GreatBritainServer) -> None:
    def change(body: dict[str, Any]) -> None:
        body["data"][4]["intensity"]["actual"] = None

    server.fail(Fault(alter=altered(change)))
    fetched = feed(server).fetch_observations("GB", NOON - DAY, NOON, NOON)
    assert len(observed(fetched).start_ms) == 46
    assert fetched.notes == ("the GB Carbon Intensity API: history: 1 without a value, left open",)


def test_repeated_and_unordered_half_hours_are_put_right_and_said(server: GreatBritainServer) -> None:
    def shuffle(body: dict[str, Any]) -> None:
        body["data"] = [*reversed(body["data"]), body["data"][0]]

    server.fail(Fault(alter=altered(shuffle)))
    fetched = feed(server).fetch_forecast("GB", NOON)
    assert len(issued(fetched).start_ms) == 96
    assert len(fetched.notes) == 2


def test_forecast_that_begins_half_an_hour_early_is_kept(server: GreatBritainServer) -> None:
    early = Fault(
        alter=lambda response: server.answer(
            type(server.requests[0])("/intensity/2026-03-01T12:00Z/fw48h", (), {}, NOON)
        )
    )
    server.fail(early)
    steps = issued(feed(server).fetch_forecast("GB", NOON))
    assert steps.start_ms[0] == milliseconds(NOON - HALF)


@pytest.mark.parametrize("day", [datetime(2026, 3, 29, tzinfo=UTC), datetime(2026, 10, 25, tzinfo=UTC)])
def test_days_on_which_clocks_change_have_48_half_hours(server: GreatBritainServer, day: datetime) -> None:
    server.now = day + 2 * DAY
    steps = observed(feed(server).fetch_observations("GB", day, day + DAY, server.now))
    assert len(steps.start_ms) == 48
    assert width_s(steps) == [1800]


@pytest.mark.parametrize("headers", [{"Retry-After": "90"}, {}])
def test_too_many_calls_are_tried_later(server: GreatBritainServer, headers: dict[str, str]) -> None:
    server.fail(busy(headers))
    with pytest.raises(FeedError, match="answered 429: too many calls") as refused:
        feed(server).fetch_forecast("GB", NOON)
    assert refused.value.transient
    assert (refused.value.retry_after_s or 0) >= 60


def test_internal_error_is_tried_later(server: GreatBritainServer) -> None:
    body = {"error": {"code": "500 Internal Server Error", "message": "Requested resource not found."}}
    server.fail(Fault(response=Response(500, body)))
    with pytest.raises(FeedError, match=r"answered 500.*Requested resource not found") as refused:
        feed(server).fetch_forecast("GB", NOON)
    assert refused.value.transient


def test_service_that_hangs_is_left_and_tried_later(server: GreatBritainServer) -> None:
    event = hang(server)
    with pytest.raises(FeedError, match="did not answer in time") as refused:
        feed(server, SHORT_S).fetch_forecast("GB", NOON)
    event.set()
    assert refused.value.transient


def test_dropped_connections_are_tried_again_at_once(server: GreatBritainServer) -> None:
    server.fail(Fault(drop=True))
    server.fail(Fault(drop=True, after_bytes=150))
    assert feed(server).fetch_forecast("GB", NOON).issued


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"from": "2026-03-01T12:00"}, "from of the GB Carbon Intensity API has no time zone"),
        ({"to": "2026-03-01T14:00Z"}, "sent a step that is no half-hour"),
        ({"intensity": None}, "intensity of the GB Carbon Intensity API is not an object but nothing"),
        ({"intensity": {"forecast": "low"}}, "is not a number but 'low'"),
    ],
)
def test_half_hours_of_another_form_are_refused(
    server: GreatBritainServer, change: dict[str, Any], sentence: str
) -> None:
    def alter(body: dict[str, Any]) -> None:
        body["data"][0].update(change)

    server.fail(Fault(alter=altered(alter)))
    with pytest.raises(FeedError, match=sentence):
        feed(server).fetch_forecast("GB", NOON)


def test_access_needs_no_key(server: GreatBritainServer) -> None:
    told = feed(server).access("GB", NOON)
    assert (told.may, told.may_not) == (("forecast", "history"), ())
    assert told.detail == "48 h ahead; no key needed; 47 values of the last 24 h"


def test_access_of_a_region(server: GreatBritainServer) -> None:
    told = feed(server, region_id=13).access("GB", NOON)
    assert (told.may, told.may_not) == (("forecast",), ("history",))
    assert told.detail == "48 h ahead; no key needed; regions are not observed"


def test_other_zones_are_not_covered(server: GreatBritainServer) -> None:
    assert feed(server).quantities("DE") == ()
    with pytest.raises(FeedError, match="covers GB only, not GB-NIR"):
        feed(server).fetch_forecast("GB-NIR", NOON)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"region_id": 18}, "must be a whole number from 0 to 17"),
        ({"region_id": 3, "postcode": "OX1"}, "takes region_id or postcode, not both"),
        ({"postcode": "OX1 3QD"}, "must be the outward part alone"),
        ({"postcode": "../.."}, "must be the outward part alone"),
    ],
)
def test_wrong_options_are_refused(
    server: GreatBritainServer, options: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ForecastError, match=sentence):
        feed(server, **options)


@pytest.mark.parametrize(
    "path",
    [
        "/intensity/2026-03-01T12:00:00/fw48h",
        "/intensity/2026-03-01T12:00Z/fw48h?horizonHours=48",
        "/intensity/2026-02-01T12:00Z/2026-03-01T12:00Z",
    ],
)
def test_stand_in_refuses_what_the_service_refuses(server: GreatBritainServer, path: str) -> None:
    assert transport("gb").get(server.url + path).status == 400


def test_unchanged_forecast_is_not_sent_again_and_is_read_the_same(server: GreatBritainServer) -> None:
    server.etags = True
    asking = feed(server)
    first, second = (asking.fetch_forecast("GB", NOON) for _ in range(2))
    assert server.requests[-1].headers["if-none-match"]
    assert np.array_equal(issued(first).gco2_per_kwh, issued(second).gco2_per_kwh)
    assert first.issued[0].issued_at == second.issued[0].issued_at
