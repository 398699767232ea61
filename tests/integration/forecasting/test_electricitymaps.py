"""Electricity Maps through a strict stand-in: what is asked, what is believed, and what people are told."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from tests.grid.asking import PATIENCE_S, SHORT_S, busy, hang, issued, observed, transport, width_s
from tests.grid.electricitymaps_server import FREE, KEY, ElectricityMapsServer, Plan
from tests.grid.server import NOON, Fault, Response, altered
from tidewatt.forecasting.errors import ForecastError
from tidewatt.forecasting.feeds.electricitymaps import ElectricityMaps
from tidewatt.forecasting.feeds.feed import FeedError
from tidewatt.forecasting.feeds.secret import Secret
from tidewatt.forecasting.series import milliseconds

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


@pytest.fixture
def server() -> Iterator[ElectricityMapsServer]:
    with ElectricityMapsServer() as running:
        yield running


def feed(
    server: ElectricityMapsServer, key: str = KEY, patience_s: float = PATIENCE_S, **options: Any
) -> ElectricityMaps:
    config = {"base_url": f"{server.url}/v3", **options}
    asking = transport("Electricity Maps", patience_s=patience_s)
    return ElectricityMaps(config, {"key": Secret(key)} if key else {}, asking)


def test_newest_issue_reaches_72_hours(server: ElectricityMapsServer) -> None:
    server.now = NOON + timedelta(minutes=47)
    (only,) = feed(server).fetch_forecast("DE", server.now).issued
    assert only.quantity == "average lifecycle CO2eq, consumption"
    assert only.issued_at == server.now
    assert len(only.steps.start_ms) == 72
    assert width_s(only.steps) == [3600]
    assert only.steps.start_ms[0] == milliseconds(NOON)
    assert only.steps.gco2_per_kwh[0] == server.intensity("DE", NOON) + 2


def test_every_call_names_the_zone_and_forbids_to_look_up_the_caller(server: ElectricityMapsServer) -> None:
    asking = feed(server)
    asking.access("DE", NOON)
    asking.fetch_observations("DE", NOON - DAY, NOON, NOON)
    assert len(server.requests) == 4
    for each in server.requests:
        assert each.value("zone") == "DE"
        assert each.value("disableCallerLookup") == "true"
        assert each.headers["auth-token"] == KEY
    assert server.caller_lookups == 0


def test_unknown_zone_is_refused_and_nobody_is_looked_up(server: ElectricityMapsServer) -> None:
    with pytest.raises(FeedError, match=r"refused the request \(404\): Zone \['NO-NO1'\] does not exist"):
        feed(server).fetch_forecast("NO-NO1", NOON)
    assert server.caller_lookups == 0


def test_answer_for_another_zone_is_refused(server: ElectricityMapsServer) -> None:
    server.fail(Fault(alter=altered(lambda body: body.update(zone="FR"))))
    with pytest.raises(FeedError, match="answered for zone FR, not for DE: refused"):
        feed(server).fetch_forecast("DE", NOON)


def test_last_day_comes_from_history_and_older_days_from_past_range(server: ElectricityMapsServer) -> None:
    asking = feed(server)
    recent = observed(asking.fetch_observations("DE", NOON - 20 * HOUR, NOON, NOON))
    older = observed(asking.fetch_observations("DE", NOON - 10 * DAY, NOON, NOON))
    assert [each.path.rpartition("/")[2] for each in server.requests] == ["history", "past-range"]
    assert len(recent.start_ms) == 20
    assert len(older.start_ms) == 240
    assert older.end_ms[-1] == milliseconds(NOON)
    assert np.array_equal(older.gco2_per_kwh[-20:], recent.gco2_per_kwh)


def test_running_hour_is_no_observation(server: ElectricityMapsServer) -> None:
    server.now = NOON + timedelta(minutes=30)
    steps = observed(feed(server).fetch_observations("DE", NOON - HOUR, server.now, server.now))
    assert steps.end_ms.tolist() == [milliseconds(NOON)]


def test_estimates_are_kept_and_said(server: ElectricityMapsServer) -> None:
    fetched = feed(server).fetch_observations("DE", NOON - 6 * HOUR, NOON, NOON)
    assert len(observed(fetched).start_ms) == 6
    assert fetched.notes == ("Electricity Maps: 3 estimated (TIME_SLICER_AVERAGE), to be restated",)


def test_estimates_are_left_out_where_the_operator_says_so(server: ElectricityMapsServer) -> None:
    fetched = feed(server, leave_out_estimated=True).fetch_observations("DE", NOON - 6 * HOUR, NOON, NOON)
    assert len(observed(fetched).start_ms) == 4
    assert fetched.notes == ("Electricity Maps: 3 estimated (TIME_SLICER_AVERAGE), left out",)


def test_direct_factors_are_another_kind_and_have_no_forecast(server: ElectricityMapsServer) -> None:
    asking = feed(server, emission_factors="direct")
    fetched = asking.fetch_observations("DE", NOON - 2 * HOUR, NOON, NOON)
    assert fetched.observed[0].quantity == "average direct CO2eq, consumption"
    assert asking.quantities("DE") == ("average direct CO2eq, consumption",)
    assert observed(fetched).gco2_per_kwh[0] == server.intensity("DE", NOON - 2 * HOUR, "direct")
    assert asking.cadence.forecast_every is None
    assert asking.fetch_forecast("DE", NOON).notes == (
        "Electricity Maps issues forecasts for life-cycle emission factors only",
    )
    assert not server.asked("forecast")


def test_other_factors_than_asked_for_are_refused(server: ElectricityMapsServer) -> None:
    def change(body: dict[str, Any]) -> None:
        body["history"][5]["emissionFactorType"] = "direct"

    server.fail(Fault(alter=altered(change)))
    with pytest.raises(FeedError, match="answered with direct emission factors where lifecycle ones"):
        feed(server).fetch_observations("DE", NOON - 2 * HOUR, NOON, NOON)


def test_null_in_the_middle_of_a_forecast_is_a_hole(server: ElectricityMapsServer) -> None:
    server.nulls = {NOON + 3 * HOUR}
    fetched = feed(server).fetch_forecast("DE", NOON)
    steps = issued(fetched)
    assert len(steps.start_ms) == 71
    assert milliseconds(NOON + 3 * HOUR) not in steps.start_ms
    assert fetched.notes == ("forecast of Electricity Maps: 1 without a value, left open",)


def test_null_in_the_past_is_a_hole(server: ElectricityMapsServer) -> None:
    server.nulls = {NOON - 3 * HOUR}
    steps = observed(feed(server).fetch_observations("DE", NOON - 6 * HOUR, NOON, NOON))
    assert len(steps.start_ms) == 5


def test_empty_forecast_means_a_plan_without_forecasts(server: ElectricityMapsServer) -> None:
    server.fail(Fault(alter=altered(lambda body: body.update(forecast=[]))))
    fetched = feed(server).fetch_forecast("DE", NOON)
    assert (fetched.issued, fetched.notes) == (
        (),
        ("Electricity Maps: no forecast on this plan: it was empty",),
    )


def test_plan_without_forecasts_is_denied_and_says_so(server: ElectricityMapsServer) -> None:
    server.plan = FREE
    with pytest.raises(FeedError) as refused:
        feed(server).fetch_forecast("DE", NOON)
    assert refused.value.denied
    assert str(refused.value) == (
        "Electricity Maps: no forecast on this plan (Endpoint not available on this plan)"
    )


def test_plan_without_a_past_gives_its_last_day(server: ElectricityMapsServer) -> None:
    server.plan = FREE
    asking = feed(server)
    fetched = asking.fetch_observations("DE", NOON - 10 * DAY, NOON, NOON)
    assert len(observed(fetched).start_ms) == 23
    assert fetched.notes[-1] == "Electricity Maps: this plan has the last 24 h only"
    asking.fetch_observations("DE", NOON - 2 * DAY, NOON, NOON)
    assert len(server.asked("past-range")) == 1  # not asked for again on that day
    with pytest.raises(FeedError, match="no past-range on this plan"):
        asking.fetch_observations("DE", NOON - 10 * DAY, NOON - 5 * DAY, NOON + 2 * DAY)


@pytest.mark.parametrize(
    ("body", "denied", "sentence"),
    [
        (b'{"message": "upgrade"}', True, r"no forecast on this plan \(upgrade\)"),
        (b"<html>blocked</html>", False, r"refused the request \(403\): status 403"),
    ],
)
def test_403_is_the_plans_only_where_the_service_itself_speaks(
    server: ElectricityMapsServer, body: bytes, denied: bool, sentence: str
) -> None:
    server.fail(Fault(response=Response(403, body)))
    with pytest.raises(FeedError, match=sentence) as refused:
        feed(server).fetch_forecast("DE", NOON)
    assert (refused.value.denied, refused.value.transient) == (denied, not denied)


def test_zone_outside_the_plan_is_denied(server: ElectricityMapsServer) -> None:
    server.plan = FREE
    with pytest.raises(FeedError, match="Token unauthorized for zoneKey=FR") as refused:
        feed(server).fetch_observations("FR", NOON - HOUR, NOON, NOON)
    assert refused.value.denied


def test_wrong_key_is_denied_and_never_shown(server: ElectricityMapsServer) -> None:
    with pytest.raises(FeedError, match="refuses this key: check ELECTRICITYMAPS_API_KEY") as refused:
        feed(server, "wrong-key-91").fetch_forecast("DE", NOON)
    assert refused.value.denied
    assert "wrong-key-91" not in str(refused.value) + repr(refused.value)


def test_key_that_the_service_repeats_is_not_repeated_by_us(server: ElectricityMapsServer) -> None:
    server.fail(Fault(response=Response(400, {"message": f"no {KEY} here"})))
    with pytest.raises(FeedError, match=r"\(400\): no \(hidden\) here"):
        feed(server).fetch_forecast("DE", NOON)


def test_missing_key_says_where_it_belongs(server: ElectricityMapsServer) -> None:
    with pytest.raises(FeedError, match="needs a key: set ELECTRICITYMAPS_API_KEY, or key under"):
        feed(server, "").fetch_forecast("DE", NOON)
    assert not server.requests


def test_no_recent_data_is_no_error(server: ElectricityMapsServer) -> None:
    for body in (
        {"error": 'No recent data for zone "DE"'},
        {"status": "error", "message": "No recent data"},
    ):
        server.fail(Fault(response=Response(404, body)))
        fetched = feed(server).fetch_observations("DE", NOON - HOUR, NOON, NOON)
        assert (fetched.observed, fetched.notes) == ((), ("Electricity Maps has no data of DE there",))


def test_access_on_a_full_plan(server: ElectricityMapsServer) -> None:
    told = feed(server).access("DE", NOON)
    assert (told.may, told.may_not) == (("forecast", "history", "past"), ())
    assert told.detail == (
        "newest issue 0 min old, 72 h ahead; 23 values of the last 24 h; 24 values of a day before"
    )


def test_access_on_a_free_plan(server: ElectricityMapsServer) -> None:
    server.plan = FREE
    told = feed(server).access("DE", NOON)
    assert (told.may, told.may_not) == (("history",), ("forecast", "past"))
    assert told.detail == "no forecast on this plan; 23 values of the last 24 h; no past on this plan"


def test_access_with_a_wrong_key_is_refused(server: ElectricityMapsServer) -> None:
    with pytest.raises(FeedError, match="refuses this key"):
        feed(server, "wrong").access("DE", NOON)


@pytest.mark.parametrize("headers", [{"Retry-After": "90"}, {}])
def test_too_many_calls_are_tried_later(server: ElectricityMapsServer, headers: dict[str, str]) -> None:
    server.fail(busy(headers))
    with pytest.raises(FeedError, match="answered 429: too many calls") as refused:
        feed(server).fetch_forecast("DE", NOON)
    assert refused.value.transient
    assert (refused.value.retry_after_s or 0) >= 60


def test_repeated_and_unordered_hours_are_put_right_and_said(server: ElectricityMapsServer) -> None:
    def shuffle(body: dict[str, Any]) -> None:
        body["forecast"] = [*reversed(body["forecast"]), {**body["forecast"][0], "carbonIntensity": 1}]

    server.fail(Fault(alter=altered(shuffle)))
    fetched = feed(server).fetch_forecast("DE", NOON)
    assert [note.partition(": ")[2] for note in fetched.notes] == [
        "1 repeated, the last of each counts",
        "out of order, sorted",
    ]
    assert issued(fetched).gco2_per_kwh[0] == 1.0
    assert len(issued(fetched).start_ms) == 72


@pytest.mark.parametrize("day", [datetime(2026, 3, 29, tzinfo=UTC), datetime(2026, 10, 25, tzinfo=UTC)])
def test_days_on_which_clocks_change_have_every_hour_once(
    server: ElectricityMapsServer, day: datetime
) -> None:
    server.now = day + 3 * DAY
    steps = observed(feed(server).fetch_observations("DE", day, day + DAY, server.now))
    assert len(steps.start_ms) == 24
    assert width_s(steps) == [3600]


def test_forecast_may_begin_in_the_past(server: ElectricityMapsServer) -> None:
    fetched = feed(server).fetch_forecast("DE", NOON + timedelta(hours=2))
    assert issued(fetched).start_ms[0] == milliseconds(NOON)


def test_forecast_without_time_of_issue_is_taken_as_this_hours(server: ElectricityMapsServer) -> None:
    server.fail(Fault(alter=altered(lambda body: body.pop("updatedAt") and None)))
    fetched = feed(server).fetch_forecast("DE", NOON + timedelta(minutes=20))
    assert fetched.issued[0].issued_at == NOON
    assert "does not say when it issued" in fetched.notes[0]


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("carbonIntensity", "330", "a carbonIntensity of Electricity Maps is not a number but '330'"),
        ("carbonIntensity", True, "is not a number but 'True'"),
        ("datetime", "2026-03-01T12:00:00", "a datetime of Electricity Maps has no time zone"),
        ("datetime", None, "a datetime of Electricity Maps is not a time but nothing"),
    ],
)
def test_values_and_times_of_another_form_are_refused(
    server: ElectricityMapsServer, field: str, value: object, sentence: str
) -> None:
    def change(body: dict[str, Any]) -> None:
        body["forecast"][1][field] = value

    server.fail(Fault(alter=altered(change)))
    with pytest.raises(FeedError, match=sentence):
        feed(server).fetch_forecast("DE", NOON)


def test_steps_of_a_day_are_refused(server: ElectricityMapsServer) -> None:
    server.fail(Fault(alter=altered(lambda body: body.update(temporalGranularity="daily"))))
    with pytest.raises(FeedError, match="sent steps of daily, where hourly ones were asked for"):
        feed(server).fetch_forecast("DE", NOON)


@pytest.mark.parametrize("body", [b"", b"<html>maintenance</html>", b"[1]", b'{"forecast": {"a": 1}}'])
def test_body_of_another_form_is_one_clear_sentence(server: ElectricityMapsServer, body: bytes) -> None:
    server.fail(Fault(response=Response(200, body)))
    with pytest.raises(
        FeedError, match=r"with no JSON|is not an object but a list|is not a list but an object"
    ):
        feed(server).fetch_forecast("DE", NOON)


def test_service_that_hangs_is_left_and_tried_later(server: ElectricityMapsServer) -> None:
    event = hang(server)
    with pytest.raises(FeedError, match="did not answer in time") as refused:
        feed(server, KEY, SHORT_S).fetch_forecast("DE", NOON)
    event.set()
    assert refused.value.transient


def test_dropped_connections_are_tried_again_at_once(server: ElectricityMapsServer) -> None:
    server.fail(Fault(drop=True))
    server.fail(Fault(drop=True, after_bytes=150))
    assert feed(server).fetch_forecast("DE", NOON).issued


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"emission_factors": "marginal"}, "must be lifecycle or direct, not 'marginal'"),
        ({"horizon_hours": 96}, "must be a whole number from 1 to 72, not 96"),
        ({"lat": 52.5}, "has no option 'lat'"),
        ({"leave_out_estimated": "yes"}, "must be true or false"),
    ],
)
def test_wrong_options_are_refused(
    server: ElectricityMapsServer, options: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ForecastError, match=sentence):
        feed(server, **options)


@pytest.mark.parametrize(
    ("verb", "query"),
    [
        ("forecast", {"horizon_hours": "24"}),
        ("forecast", {"emissionFactorType": "direct"}),
        ("past-range", {"start": "2026-03-01T00:00:00", "end": "2026-03-01T01:00:00Z"}),
        ("past-range", {"start": "2026-02-01T00:00:00Z", "end": "2026-03-01T01:00:00Z"}),
    ],
)
def test_stand_in_refuses_what_the_service_refuses(
    server: ElectricityMapsServer, verb: str, query: dict[str, str]
) -> None:
    url = f"{server.url}/v3/carbon-intensity/{verb}"
    reply = transport("em").get(url, params={"zone": "DE", **query}, headers={"auth-token": KEY})
    assert reply.status == 400


def test_plans_of_one_zone_are_kept_apart_by_zone(server: ElectricityMapsServer) -> None:
    server.plan = Plan(("DE", "FR"), ("history",))
    asking = feed(server)
    for zone in ("DE", "FR"):
        assert len(observed(asking.fetch_observations(zone, NOON - DAY - HOUR, NOON, NOON)).start_ms) == 23
    assert len(server.asked("past-range")) == 2


def test_watttimes_areas_are_not_asked_for(server: ElectricityMapsServer) -> None:
    assert feed(server).quantities("WT:CAISO_NORTH") == ()
    assert feed(server).quantities("NOWHERE") == ()


def test_unchanged_forecast_is_not_sent_again_and_is_read_the_same(server: ElectricityMapsServer) -> None:
    server.etags = True
    asking = feed(server)
    first, second = (asking.fetch_forecast("DE", NOON) for _ in range(2))
    assert server.requests[-1].headers["if-none-match"]
    assert np.array_equal(issued(first).gco2_per_kwh, issued(second).gco2_per_kwh)
    assert first.issued[0].issued_at == second.issued[0].issued_at
