"""EIA's hourly grid monitor through a strict stand-in: what is asked, believed and told."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.grid.asking import SHORT_S, busy, hang, transport, width_s
from tests.grid.eia_server import EiaServer
from tests.grid.server import NOON, Fault, Response, altered
from tidewatt.forecasting.errors import ForecastError
from tidewatt.forecasting.feeds.eia import Eia
from tidewatt.forecasting.feeds.feed import FeedError, Fetched
from tidewatt.forecasting.feeds.secret import Secret
from tidewatt.forecasting.series import Steps, milliseconds

ZONE = "US-CAL-CISO"
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
LIFECYCLE = "average lifecycle CO2eq, production"
DIRECT = "average direct CO2eq, production"


@pytest.fixture
def server() -> Iterator[EiaServer]:
    with EiaServer() as running:
        yield running


def feed(server: EiaServer, key: str = EiaServer.key, **options: Any) -> Eia:
    return Eia({"base_url": server.url, **options}, {"key": Secret(key)} if key else {}, transport("EIA"))


def told(fetched: Fetched, quantity: str) -> Steps:
    (found,) = [each.steps for each in fetched.observed if each.quantity == quantity]
    return found


def first(body: dict[str, Any]) -> dict[str, Any]:
    row: dict[str, Any] = body["response"]["data"][0]
    return row


def test_hour_named_after_its_end_becomes_a_step_named_after_its_start(server: EiaServer) -> None:
    fetched = feed(server).fetch_observations(ZONE, NOON - 6 * HOUR, NOON - 3 * HOUR, NOON)
    gas = told(fetched, "mw gas")
    assert gas.start_ms.tolist() == [milliseconds(NOON - hours * HOUR) for hours in (6, 5, 4)]
    assert width_s(gas) == [3600]
    assert gas.gco2_per_kwh.tolist() == [server.megawatts("NG", NOON - hours * HOUR) for hours in (6, 5, 4)]


def test_bounds_that_are_asked_for_are_the_ends_of_the_hours_wanted(server: EiaServer) -> None:
    feed(server).fetch_observations(ZONE, NOON - 90 * DAY, NOON - 87 * DAY, NOON)
    asked = server.asked("fuel-type-data")[0]
    assert (asked.value("start"), asked.value("end")) == ("2025-12-01T13", "2025-12-04T12")
    assert asked.value("facets[respondent][]") == "CISO"


def test_intensity_is_that_of_the_mix_by_both_bases(server: EiaServer) -> None:
    fetched = feed(server).fetch_observations(ZONE, NOON - 6 * HOUR, NOON - 5 * HOUR, NOON)
    at = NOON - 6 * HOUR
    mw = {name: server.megawatts(name, at) for name in ("COL", "NG", "WND", "SUN", "WAT", "NUC", "OTH")}
    lifecycle = {"COL": 820, "NG": 490, "WND": 11, "SUN": 45, "WAT": 24, "NUC": 12, "OTH": 700}
    direct = {"COL": 760, "NG": 370, "OTH": 575}
    for quantity, factors in ((LIFECYCLE, lifecycle), (DIRECT, direct)):
        grams = sum(factors.get(name, 0) * power for name, power in mw.items()) / sum(mw.values())
        assert told(fetched, quantity).gco2_per_kwh == pytest.approx([grams])


def test_text_that_is_a_number_counts_as_the_number(server: EiaServer) -> None:
    fetched = feed(server).fetch_observations(ZONE, NOON - 6 * HOUR, NOON - 5 * HOUR, NOON)
    assert told(fetched, "mw wind").gco2_per_kwh.tolist() == [server.megawatts("WND", NOON - 6 * HOUR)]


def test_batteries_that_charge_are_negative_storage(server: EiaServer) -> None:
    fetched = feed(server).fetch_observations(ZONE, NOON - 6 * HOUR, NOON - 5 * HOUR, NOON)
    assert told(fetched, "mw storage").gco2_per_kwh[0] < 0


def test_newest_hour_that_lacks_a_usual_fuel_is_left_out_and_said(server: EiaServer) -> None:
    fetched = feed(server).fetch_observations(ZONE, NOON - 6 * HOUR, NOON, NOON)
    assert told(fetched, LIFECYCLE).end_ms[-1] == milliseconds(NOON - 2 * HOUR)
    assert told(fetched, "mw demand").end_ms[-1] == milliseconds(NOON - HOUR)
    assert fetched.notes[-1] == "EIA: WND comes later than the rest: the newest steps wait"


def test_usual_fuels_are_known_even_where_only_the_newest_hour_is_wanted(server: EiaServer) -> None:
    fetched = feed(server).fetch_observations(ZONE, NOON - 2 * HOUR, NOON - HOUR, NOON)
    assert {each.quantity for each in fetched.observed} == {"mw demand", "mw imports"}


def test_null_in_the_past_makes_a_hole_in_the_intensity(server: EiaServer) -> None:
    server.missing = {("NG", NOON - 8 * HOUR)}
    fetched = feed(server).fetch_observations(ZONE, NOON - 10 * HOUR, NOON - 5 * HOUR, NOON)
    assert len(told(fetched, LIFECYCLE).start_ms) == 4
    assert milliseconds(NOON - 8 * HOUR) not in told(fetched, "mw gas").start_ms
    assert len(told(fetched, "mw nuclear").start_ms) == 5
    assert "EIA's NG: 1 without a value, left open" in fetched.notes


def test_null_of_a_fuel_of_little_weight_does_not(server: EiaServer) -> None:
    server.missing = {("COL", NOON - 8 * HOUR)}
    fetched = feed(server).fetch_observations(ZONE, NOON - 10 * HOUR, NOON - 5 * HOUR, NOON)
    assert len(told(fetched, LIFECYCLE).start_ms) == 5


def test_sun_that_is_not_told_at_night_is_zero_then(server: EiaServer) -> None:
    hours = [NOON - back * HOUR for back in range(1, 80)]
    server.missing = {("SUN", at) for at in hours if at.hour < 14}  # midnight in California is at 8
    fetched = feed(server).fetch_observations(ZONE, NOON - 10 * HOUR, NOON - 2 * HOUR, NOON)
    assert len(told(fetched, LIFECYCLE).start_ms) == 8
    assert not told(fetched, "mw solar").gco2_per_kwh.any()


def test_body_as_documented_is_read(server: EiaServer, shared_reference: Path) -> None:
    sample = (shared_reference / "wire/eia/fuel_type_data_200.json").read_bytes()
    server.fail(Fault(path="fuel-type-data", response=Response(200, sample)))
    five = NOON.replace(hour=5)
    fetched = feed(server).fetch_observations(ZONE, five - HOUR, five, NOON)
    assert told(fetched, "mw gas").gco2_per_kwh.tolist() == [8123]
    assert told(fetched, "mw gas").start_ms.tolist() == [milliseconds(five - HOUR)]
    assert "EIA's WND: 1 without a value, left open" in fetched.notes


def test_span_without_a_whole_hour_is_not_asked_for(server: EiaServer) -> None:
    start = NOON - timedelta(minutes=100)
    fetched = feed(server).fetch_observations(ZONE, start, start + timedelta(minutes=70), NOON)
    assert fetched.observed == ()
    assert not server.asked("region-data")


def test_long_spans_come_page_after_page(server: EiaServer) -> None:
    asking = feed(server)
    fetched = asking.fetch_observations(ZONE, NOON - asking.cadence.span, NOON, NOON)
    offsets = [each.value("offset") for each in server.asked("fuel-type-data")]
    assert offsets == ["0", "5000", "10000"]
    assert len(told(fetched, LIFECYCLE).start_ms) == 60 * 24 - 2


def test_imports_are_what_flows_in(server: EiaServer) -> None:
    fetched = feed(server).fetch_observations(ZONE, NOON - 6 * HOUR, NOON - 5 * HOUR, NOON)
    assert told(fetched, "mw imports").gco2_per_kwh[0] == -server.megawatts("TI", NOON - 6 * HOUR)


def test_demand_forecast_is_issued_from_the_current_hour_on(server: EiaServer) -> None:
    now = NOON + timedelta(minutes=20)
    server.now = now
    (only,) = feed(server).fetch_forecast(ZONE, now).issued
    assert (only.quantity, only.issued_at) == ("mw demand", now)
    assert only.steps.start_ms[0] == milliseconds(NOON)
    assert len(only.steps.start_ms) == 30
    assert {each.value("facets[type][]") for each in server.requests} == {"DF"}


@pytest.mark.parametrize("zone", ["DE", "US-NOWHERE", "US"])
def test_zones_outside_eias_authorities_have_nothing(server: EiaServer, zone: str) -> None:
    assert feed(server).quantities(zone) == ()


def test_zone_of_an_authority_has_intensity_fuels_demand_and_imports(server: EiaServer) -> None:
    quantities = feed(server).quantities(ZONE)
    assert {LIFECYCLE, DIRECT, "mw gas", "mw storage", "mw demand", "mw imports"} <= {*quantities}
    fetched = feed(server).fetch_observations(ZONE, NOON - DAY, NOON, NOON)
    assert {each.quantity for each in fetched.observed} <= {*quantities}


def test_wrong_key_is_denied_and_never_shown(server: EiaServer) -> None:
    with pytest.raises(FeedError, match=r"does not accept this key \(403\): check EIA_API_KEY") as refused:
        feed(server, "wrong-key-17").fetch_forecast(ZONE, NOON)
    assert refused.value.denied
    assert "wrong-key-17" not in str(refused.value) + repr(refused.value)


def test_missing_key_says_where_it_belongs(server: EiaServer) -> None:
    with pytest.raises(FeedError, match="needs a key: set EIA_API_KEY, or key under"):
        feed(server, "").fetch_forecast(ZONE, NOON)
    assert not server.requests


def test_key_that_the_service_repeats_is_not_repeated_by_us(server: EiaServer) -> None:
    server.fail(Fault(response=Response(400, {"error": f"no {EiaServer.key} here", "code": 400})))
    with pytest.raises(FeedError, match=r"refused the request \(400\)") as refused:
        feed(server).fetch_forecast(ZONE, NOON)
    assert EiaServer.key not in str(refused.value)


@pytest.mark.parametrize("headers", [{"Retry-After": "90"}, {}])
def test_too_many_calls_are_tried_later(server: EiaServer, headers: dict[str, str]) -> None:
    server.fail(busy(headers))
    with pytest.raises(FeedError, match="answered 429: too many calls") as refused:
        feed(server).fetch_forecast(ZONE, NOON)
    assert refused.value.transient
    assert (refused.value.retry_after_s or 0) >= 60


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("value-units", "megawatts thermal", "told power in 'megawatts thermal' instead of 'megawatthours'"),
        ("value-units", None, "instead of 'megawatthours': refused"),
        ("value", "n/a", "told a power that is no number: 'n/a'"),
        ("value", "nan", "told a power that is no number"),
        ("value", True, "told a power that is no number"),
        ("period", "2026-03-01", "told a period that is no UTC hour: '2026-03-01'"),
        ("period", "2026-03-01T05-08", "told a period that is no UTC hour"),
        ("period", None, "told a period that is no UTC hour"),
    ],
)
def test_units_values_and_times_of_another_form_are_refused(
    server: EiaServer, field: str, value: object, sentence: str
) -> None:
    server.fail(Fault(alter=altered(lambda body: first(body).update({field: value}))))
    with pytest.raises(FeedError, match=sentence):
        feed(server).fetch_observations(ZONE, NOON - 6 * HOUR, NOON, NOON)


def test_energy_source_that_is_new_counts_as_other_and_is_said(server: EiaServer) -> None:
    def rename(body: dict[str, Any]) -> None:
        for row in body["response"]["data"]:
            row["fueltype"] = "FUS" if row["fueltype"] == "NUC" else row["fueltype"]

    server.fail(Fault(alter=altered(rename)))
    fetched = feed(server).fetch_observations(ZONE, NOON - 6 * HOUR, NOON - 5 * HOUR, NOON)
    at = NOON - 6 * HOUR
    assert told(fetched, "mw other").gco2_per_kwh[0] == sum(
        server.megawatts(name, at) for name in ("OTH", "NUC")
    )
    assert "EIA's energy source FUS is not known here and counts as other" in fetched.notes


def test_repeated_and_unordered_rows_are_put_right_and_said(server: EiaServer) -> None:
    def shuffle(body: dict[str, Any]) -> None:
        rows = body["response"]["data"]
        body["response"]["data"] = [*reversed(rows), dict(rows[-1], value=1.0)]

    server.fail(Fault(alter=altered(shuffle)))
    fetched = feed(server).fetch_forecast(ZONE, NOON)
    assert [note.partition(": ")[2] for note in fetched.notes] == [
        "1 repeated, the last of each counts",
        "out of order, sorted",
    ]
    (only,) = fetched.issued
    assert only.steps.gco2_per_kwh[-1] == 1.0
    assert (np.diff(only.steps.start_ms) > 0).all()


@pytest.mark.parametrize("day", [datetime(2026, 3, 8, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC)])
def test_days_on_which_clocks_change_have_every_hour_once(server: EiaServer, day: datetime) -> None:
    server.now = day + 3 * DAY
    steps = told(feed(server).fetch_observations(ZONE, day, day + 2 * DAY, server.now), LIFECYCLE)
    assert len(steps.start_ms) == 48
    assert width_s(steps) == [3600]


def test_no_data_is_no_error(server: EiaServer) -> None:
    def emptied(body: dict[str, Any]) -> None:
        body["response"].update(data=[], total=0)

    server.fail(Fault(alter=altered(emptied), times=4))
    fetched = feed(server).fetch_observations(ZONE, NOON - 6 * HOUR, NOON, NOON)
    assert fetched.observed == ()
    assert feed(server).fetch_forecast(ZONE, NOON).issued == ()
    server.fail(Fault(alter=altered(emptied), times=3))
    access = feed(server).access(ZONE, NOON)
    assert access.may_not[0] == "history"
    assert "has no mix of late" in access.detail


def test_access_says_how_late_the_newest_hour_is(server: EiaServer) -> None:
    access = feed(server).access(ZONE, NOON)
    assert access.may == ("history", "demand forecast")
    assert access.detail == "CISO: newest hour ended 1.0 h ago; no forecast of the intensity itself"


def test_service_that_hangs_is_left_and_tried_later(server: EiaServer) -> None:
    event = hang(server)
    hasty = Eia({"base_url": server.url}, {"key": Secret(server.key)}, transport("EIA", patience_s=SHORT_S))
    with pytest.raises(FeedError, match="did not answer in time") as refused:
        hasty.fetch_forecast(ZONE, NOON)
    event.set()
    assert refused.value.transient


def test_dropped_connections_are_tried_again_at_once(server: EiaServer) -> None:
    server.fail(Fault(drop=True))
    server.fail(Fault(drop=True, after_bytes=150))
    assert feed(server).fetch_forecast(ZONE, NOON).issued


@pytest.mark.parametrize("body", [b"", b"<html>maintenance</html>", b"[1]", b'{"response": []}'])
def test_body_of_another_form_is_one_clear_sentence(server: EiaServer, body: bytes) -> None:
    server.fail(Fault(response=Response(200, body)))
    with pytest.raises(FeedError, match=r"with no JSON|is not an object but a list"):
        feed(server).fetch_forecast(ZONE, NOON)


def test_wrong_options_are_refused(server: EiaServer) -> None:
    with pytest.raises(ForecastError, match="has no option 'respondent'"):
        feed(server, respondent="CISO")
