"""WattTime through a strict stand-in: what is asked, what is believed, and what people are told."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from tests.grid.asking import PATIENCE_S, SHORT_S, Clock, busy, hang, issued, observed, transport, width_s
from tests.grid.server import NOON, Fault, altered
from tests.grid.watttime_server import PAGE_403, PASSWORD, USER, WattTimeServer
from tidewatt.forecasting.errors import ForecastError
from tidewatt.forecasting.feeds.feed import FeedError
from tidewatt.forecasting.feeds.secret import Secret
from tidewatt.forecasting.feeds.watttime import WattTime
from tidewatt.forecasting.feeds.watttime_replies import GRAMS_PER_KWH
from tidewatt.forecasting.series import milliseconds

ZONE = "WT:CAISO_NORTH"
HOUR = timedelta(hours=1)


@pytest.fixture
def server() -> Iterator[WattTimeServer]:
    with WattTimeServer() as running:
        yield running


def feed(
    server: WattTimeServer, clock: Clock | None = None, patience_s: float = PATIENCE_S, **options: int
) -> WattTime:
    clock = clock or Clock()
    credentials = {"user": Secret(USER), "password": Secret(PASSWORD)}
    return WattTime(
        {"base_url": server.url, **options}, credentials, transport("WattTime", clock, patience_s), clock
    )


def test_newest_issue_reaches_72_hours_in_grams(server: WattTimeServer) -> None:
    (only,) = feed(server).fetch_forecast(ZONE, NOON).issued
    assert only.quantity == "marginal direct CO2, consumption"
    assert only.issued_at == NOON
    assert len(only.steps.start_ms) == 72 * 12
    assert only.steps.start_ms[0] == milliseconds(NOON)
    assert only.steps.gco2_per_kwh[0] == pytest.approx(server.moer(NOON, NOON) * GRAMS_PER_KWH)
    assert server.asked("/v3/forecast")[0].query == (
        ("region", "CAISO_NORTH"),
        ("signal_type", "co2_moer"),
        ("horizon_hours", "72"),
    )


def test_history_holds_what_began_in_the_span_and_has_ended(server: WattTimeServer) -> None:
    steps = observed(feed(server).fetch_observations(ZONE, NOON - 2 * HOUR, NOON + HOUR, NOON))
    assert steps.start_ms[0] == milliseconds(NOON - 2 * HOUR)
    assert steps.end_ms[-1] == milliseconds(NOON)
    assert len(steps.start_ms) == 24
    assert steps.gco2_per_kwh[0] == pytest.approx(server.moer(NOON - 2 * HOUR) * GRAMS_PER_KWH)


def test_history_of_a_whole_span_is_one_call_that_the_service_allows(server: WattTimeServer) -> None:
    asking = feed(server)
    steps = observed(asking.fetch_observations(ZONE, NOON - asking.cadence.span, NOON, NOON))
    assert len(steps.start_ms) == 30 * 288
    assert len(server.asked("/v3/historical")) == 1


def test_imputed_values_are_kept_and_said(server: WattTimeServer) -> None:
    server.imputed = {NOON - HOUR, NOON - HOUR / 2}
    fetched = feed(server).fetch_observations(ZONE, NOON - 2 * HOUR, NOON, NOON)
    assert len(observed(fetched).start_ms) == 24
    assert fetched.notes == ("WattTime's history: 2 imputed, WattTime may restate them",)


def test_warnings_of_the_service_reach_people(server: WattTimeServer) -> None:
    server.warnings = [{"type": "EXAMPLE_WARNING", "message": "This is just\x1b[31m an example"}]
    assert feed(server).fetch_forecast(ZONE, NOON).notes == ("WattTime warns: This is just?[31m an example",)


def test_one_login_serves_many_calls(server: WattTimeServer) -> None:
    asking = feed(server)
    for _ in range(3):
        asking.fetch_forecast(ZONE, NOON)
    assert len(server.asked("/login")) == 1


def test_token_is_renewed_before_it_ends(server: WattTimeServer) -> None:
    clock = Clock()
    asking = feed(server, clock)
    asking.fetch_forecast(ZONE, NOON)
    clock.at += 26 * 60
    server.now += timedelta(minutes=26)
    asking.fetch_forecast(ZONE, NOON)
    assert [each.path for each in server.requests] == ["/login", "/v3/forecast"] * 2


def test_ended_token_means_one_new_login_whether_told_by_401_or_by_a_proxy(server: WattTimeServer) -> None:
    asking = feed(server)
    for _ in range(3):  # the first time it ends with 401, then with 403 in HTML
        assert asking.fetch_forecast(ZONE, server.now).issued
        server.now += timedelta(minutes=31)  # for the service alone: we believe the token to be fresh
    assert len(server.asked("/login")) == 3
    assert len(server.asked("/v3/forecast")) == 5


def test_calls_at_the_same_time_share_one_new_login(server: WattTimeServer) -> None:
    asking = feed(server)
    threads = [threading.Thread(target=asking.fetch_forecast, args=(ZONE, NOON)) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert len(server.asked("/login")) == 1
    assert len(server.asked("/v3/forecast")) == 4


def test_missing_scope_is_denied_without_a_new_login(server: WattTimeServer) -> None:
    with pytest.raises(FeedError) as refused:
        feed(server).fetch_forecast("GB", NOON)
    assert refused.value.denied
    assert str(refused.value) == (
        "WattTime does not let this account have that: Invalid scope. You do not have sufficient access to "
        "this resource."
    )
    assert len(server.asked("/login")) == 1


def test_wrong_password_is_told_once_and_never_shown(server: WattTimeServer) -> None:
    server.password = "another"
    with pytest.raises(FeedError, match="refuses this user and password: check WATTTIME_USER") as refused:
        feed(server).fetch_forecast(ZONE, NOON)
    assert refused.value.denied
    assert PASSWORD not in repr(refused.value) + str(refused.value)
    assert len(server.requests) == 1


def test_login_that_a_proxy_refuses_is_told_the_same(server: WattTimeServer) -> None:
    server.fail(Fault("/login", response=PAGE_403))
    with pytest.raises(FeedError, match="refuses this user and password"):
        feed(server).fetch_forecast(ZONE, NOON)


def test_missing_credentials_say_where_they_belong(server: WattTimeServer) -> None:
    asking = WattTime({"base_url": server.url}, {}, transport("WattTime"))
    with pytest.raises(FeedError, match="set WATTTIME_USER and WATTTIME_PASSWORD, or user and password"):
        asking.fetch_forecast(ZONE, NOON)
    assert not server.requests


def test_zone_without_a_name_of_watttimes_is_found_by_its_centre(server: WattTimeServer) -> None:
    asking = feed(server)
    fetched = asking.fetch_forecast("US-CAL-CISO", NOON)
    asking.fetch_forecast("US-CAL-CISO", NOON)
    assert fetched.notes == (
        "region CAISO_NORTH (CAISO_NORTH in full), which holds the centre of US-CAL-CISO",
    )
    assert len(server.asked("region-from-loc")) == 1


@pytest.mark.parametrize(("zone", "part"), [("US", "US-CAL-BANC"), ("AU", "AU-NSW"), ("DK", "DK-DK1")])
def test_zone_that_is_divided_is_not_taken_for_the_part_at_its_centre(
    server: WattTimeServer, zone: str, part: str
) -> None:
    with pytest.raises(FeedError, match=f"name a zone inside it, such as {part}") as refused:
        feed(server).fetch_forecast(zone, NOON)
    assert refused.value.denied
    assert not server.requests


def test_place_without_coverage_is_denied_in_the_services_words(server: WattTimeServer) -> None:
    with pytest.raises(FeedError, match="No coverage available for these coordinates") as refused:
        feed(server).fetch_forecast("IS", NOON)
    assert refused.value.denied


def test_access_tells_region_verbs_and_age(server: WattTimeServer) -> None:
    server.now = NOON + timedelta(minutes=4)
    told = feed(server).access(ZONE, server.now)
    assert (told.may, told.may_not) == (("forecast", "history"), ())
    assert told.detail == (
        "region CAISO_NORTH; newest issue 4 min old, 72 h ahead; 287 values of the last 24 h"
    )


def test_access_tells_what_the_account_lacks(server: WattTimeServer) -> None:
    told = feed(server).access("GB", NOON)
    assert (told.may, told.may_not) == (("history",), ("forecast",))
    assert told.detail.endswith("this account has no forecast for it")


@pytest.mark.parametrize("headers", [{"Retry-After": "90"}, {}])
def test_too_many_calls_are_tried_later(server: WattTimeServer, headers: dict[str, str]) -> None:
    asking = feed(server)
    server.fail(busy(headers))
    with pytest.raises(FeedError, match="answered 429: too many calls") as refused:
        asking.fetch_forecast(ZONE, NOON)
    assert refused.value.transient
    assert refused.value.retry_after_s is not None
    assert refused.value.retry_after_s >= 60
    with pytest.raises(FeedError, match="is not asked for another"):
        asking.fetch_forecast(ZONE, NOON)
    assert len(server.requests) == 1


def test_value_that_is_null_in_the_middle_is_a_hole(server: WattTimeServer) -> None:
    server.fail(Fault())  # the login
    server.fail(Fault(alter=altered(lambda body: body["data"][2].update(value=None))))  # type: ignore[index]
    fetched = feed(server).fetch_forecast(ZONE, NOON)
    assert len(issued(fetched).start_ms) == 72 * 12 - 1
    assert fetched.notes == ("WattTime's forecast: 1 without a value, left open",)


def test_empty_forecast_is_no_error(server: WattTimeServer) -> None:
    server.fail(Fault("/v3/forecast", alter=altered(lambda body: body.update(data=[]))))
    fetched = feed(server).fetch_forecast(ZONE, NOON)
    assert (fetched.issued, fetched.notes) == ((), ("WattTime's forecast is empty",))


def test_repeated_and_unordered_points_are_put_right_and_said(server: WattTimeServer) -> None:
    def shuffle(body: dict[str, object]) -> None:
        data = body["data"]
        assert isinstance(data, list)
        body["data"] = [*reversed(data), {**data[0], "value": 1.0}]

    plain = issued(feed(server).fetch_forecast(ZONE, NOON))
    server.fail(Fault("/v3/forecast", alter=altered(shuffle)))
    fetched = feed(server).fetch_forecast(ZONE, NOON)
    steps = issued(fetched)
    assert fetched.notes == (
        "WattTime's forecast: 1 repeated, the last of each counts",
        "WattTime's forecast: out of order, sorted",
    )
    assert np.array_equal(steps.start_ms, plain.start_ms)
    assert np.array_equal(steps.gco2_per_kwh[1:], plain.gco2_per_kwh[1:])
    assert steps.gco2_per_kwh[0] == pytest.approx(GRAMS_PER_KWH)


def test_forecast_may_begin_in_the_past(server: WattTimeServer) -> None:
    server.now = NOON + timedelta(minutes=4, seconds=30)
    fetched = feed(server).fetch_forecast(ZONE, server.now)
    assert fetched.issued[0].issued_at == NOON
    assert issued(fetched).start_ms[0] == milliseconds(NOON)


@pytest.mark.parametrize("day", [datetime(2026, 3, 8, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC)])
def test_days_on_which_clocks_change_have_every_step_once(server: WattTimeServer, day: datetime) -> None:
    server.now = day + 2 * 24 * HOUR
    steps = observed(feed(server).fetch_observations(ZONE, day, day + 24 * HOUR, server.now))
    assert len(steps.start_ms) == 288
    assert width_s(steps) == [300]


def test_hourly_points_hold_for_an_hour() -> None:
    with WattTimeServer(period_s=3600) as server:
        steps = issued(feed(server).fetch_forecast(ZONE, NOON))
        assert (len(steps.start_ms), width_s(steps)) == (72, [3600])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("units", "percentile"),
        ("units", "lbs_co2e_per_mwh"),
        ("units", None),
        ("signal_type", "health_damage"),
        ("region", "CAISO_SOUTH"),
    ],
)
def test_other_units_signals_and_regions_are_refused(
    server: WattTimeServer, name: str, value: str | None
) -> None:
    def change(body: dict[str, object]) -> None:
        meta = body["meta"]
        assert isinstance(meta, dict)
        meta[name] = value

    server.fail(Fault("/v3/forecast", alter=altered(change)))
    with pytest.raises(FeedError, match=f"answered with {name} '{value}' where .* was expected: refused"):
        feed(server).fetch_forecast(ZONE, NOON)


def test_times_without_a_zone_are_refused(server: WattTimeServer) -> None:
    def strip(body: dict[str, object]) -> None:
        data = body["data"]
        assert isinstance(data, list)
        data[0]["point_time"] = "2026-03-01T12:00:00"

    server.fail(Fault("/v3/forecast", alter=altered(strip)))
    with pytest.raises(FeedError, match="a point_time of WattTime has no time zone"):
        feed(server).fetch_forecast(ZONE, NOON)


def test_service_that_hangs_is_left_and_tried_later(server: WattTimeServer) -> None:
    event = hang(server, "/v3/forecast")
    with pytest.raises(FeedError, match="did not answer in time") as refused:
        feed(server, None, SHORT_S).fetch_forecast(ZONE, NOON)
    event.set()
    assert refused.value.transient


@pytest.mark.parametrize("after_bytes", [0, 200])
def test_dropped_connections_are_tried_again_at_once(server: WattTimeServer, after_bytes: int) -> None:
    server.fail(Fault("/v3/forecast", drop=True, after_bytes=after_bytes, times=2))
    assert feed(server).fetch_forecast(ZONE, NOON).issued
    server.fail(Fault("/v3/forecast", drop=True, after_bytes=after_bytes, times=3))
    with pytest.raises(FeedError, match="the connection failed") as refused:
        feed(server).fetch_forecast(ZONE, NOON)
    assert refused.value.transient


def test_request_that_the_service_refuses_is_told_in_its_words(server: WattTimeServer) -> None:
    with pytest.raises(FeedError, match=r"refused the request \(400\): a range of 39 days") as refused:
        feed(server).fetch_observations(ZONE, NOON - timedelta(days=40), NOON, NOON)
    assert not refused.value.transient


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"horizon_hours": 73}, "horizon_hours of the source watttime must be a whole number from 0 to 72"),
        ({"every_min": 1}, "every_min of the source watttime must be a whole number from 5 to 1440"),
        ({"horizonHours": 24}, "the source watttime has no option 'horizonHours'; known are: base_url,"),
    ],
)
def test_wrong_options_are_refused(server: WattTimeServer, options: dict[str, int], sentence: str) -> None:
    with pytest.raises(ForecastError, match=sentence):
        feed(server, None, PATIENCE_S, **options)


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/v3/forecast", {"horizonHours": "24"}),
        ("/v3/historical", {"start": "2026-03-01T00:00:00", "end": "2026-03-01T01:00:00Z"}),
    ],
)
def test_stand_in_refuses_what_the_service_refuses(
    server: WattTimeServer, path: str, query: dict[str, str]
) -> None:
    asking = transport("WattTime")
    token = asking.get(f"{server.url}/login", auth=(USER, PASSWORD)).json()
    assert isinstance(token, dict)
    reply = asking.get(
        server.url + path,
        params={"region": "CAISO_NORTH", "signal_type": "co2_moer", **query},
        headers={"Authorization": f"Bearer {token['token']}"},
    )
    assert reply.status == 400


def test_unchanged_forecast_is_not_sent_again_and_is_read_the_same(server: WattTimeServer) -> None:
    server.etags = True
    asking = feed(server)
    first, second = (asking.fetch_forecast(ZONE, NOON) for _ in range(2))
    assert server.requests[-1].headers["if-none-match"]
    assert np.array_equal(issued(first).gco2_per_kwh, issued(second).gco2_per_kwh)
    assert first.issued[0].issued_at == second.issued[0].issued_at
