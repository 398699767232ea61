"""Open-Meteo through a strict stand-in: what is asked, believed and told."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.grid.asking import SHORT_S, busy, hang, transport, width_s
from tests.grid.open_meteo_server import OpenMeteoServer
from tests.grid.server import NOON, Fault, Response, altered
from tidewatt.forecasting.errors import ForecastError
from tidewatt.forecasting.feeds.feed import FeedError, Fetched
from tidewatt.forecasting.feeds.open_meteo import AFTERWARDS, BASE_URL, KEYED_URL, OpenMeteo
from tidewatt.forecasting.feeds.secret import Secret
from tidewatt.forecasting.quantity import VARIABLES
from tidewatt.forecasting.series import Steps, milliseconds
from tidewatt.forecasting.zones import zone

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


@pytest.fixture
def server() -> Iterator[OpenMeteoServer]:
    with OpenMeteoServer() as running:
        yield running


def feed(server: OpenMeteoServer, key: str = "", **options: Any) -> OpenMeteo:
    credentials = {"key": Secret(key)} if key else {}
    return OpenMeteo({"base_url": server.url, **options}, credentials, transport("Open-Meteo"))


def ahead(fetched: Fetched, variable: str) -> Steps:
    (found,) = [each.steps for each in fetched.issued if each.quantity == f"weather {variable}"]
    return found


def past(fetched: Fetched, variable: str) -> Steps:
    (found,) = [each.steps for each in fetched.observed if each.quantity == f"weather {variable}"]
    return found


def test_a_week_from_the_current_hour_on_is_issued_as_of_now(server: OpenMeteoServer) -> None:
    now = NOON + timedelta(minutes=40)
    fetched = feed(server).fetch_forecast("DE", now)
    assert [each.quantity for each in fetched.issued] == [f"weather {name}" for name in VARIABLES]
    assert {each.issued_at for each in fetched.issued} == {now}
    for each in fetched.issued:
        assert each.steps.start_ms[0] == milliseconds(NOON)
        assert each.steps.end_ms[-1] == milliseconds(NOON + 7 * DAY)
        assert width_s(each.steps) == [3600]


def test_values_at_the_hour_become_means_of_its_ends_in_kelvin(server: OpenMeteoServer) -> None:
    fetched = feed(server).fetch_forecast("DE", NOON)
    latitude = zone("DE").latitude
    ends = [server.value("temperature_2m", latitude, at) for at in (NOON, NOON + HOUR)]
    assert ahead(fetched, "temperature_k").gco2_per_kwh[0] == pytest.approx(sum(ends) / 2 + 273.15)
    winds = [server.value("wind_speed_10m", latitude, at) for at in (NOON, NOON + HOUR)]
    assert ahead(fetched, "wind_m_s").gco2_per_kwh[0] == pytest.approx(sum(winds) / 2)


def test_values_over_the_hour_before_are_moved_to_that_hour(server: OpenMeteoServer) -> None:
    fetched = feed(server).fetch_forecast("DE", NOON)
    told = server.value("shortwave_radiation", 0, NOON + HOUR)
    assert ahead(fetched, "short_wave_w_m2").gco2_per_kwh[0] == told
    assert ahead(fetched, "precipitation_mm").gco2_per_kwh[0] == server.value("precipitation", 0, NOON + HOUR)


def test_units_times_and_variables_are_named_in_the_request(server: OpenMeteoServer) -> None:
    feed(server).fetch_forecast("DE", NOON)
    (asked,) = server.requests
    assert asked.value("wind_speed_unit") == "ms"
    assert asked.value("timeformat") == "unixtime"
    assert asked.value("latitude") == f"{zone('DE').latitude:.4f}"
    assert not asked.values("apikey")


def test_zone_with_parts_is_the_mean_over_its_centre_and_up_to_four_of_them(server: OpenMeteoServer) -> None:
    asking = feed(server)
    places = asking.places("NO")
    assert len(places) == 5
    fetched = asking.fetch_forecast("NO", NOON)
    (asked,) = server.requests
    assert len(asked.value("latitude").split(",")) == 5
    mean = sum(server.value("dew_point_2m", latitude, NOON) for latitude, _ in places) / 5
    assert ahead(fetched, "dew_point_k").gco2_per_kwh[0] == pytest.approx(mean + 273.15)


def test_places_of_ones_own_go_before_the_centre(server: OpenMeteoServer) -> None:
    asking = feed(server, places={"DE": [[53.5, 10.0], [48.1, 11.6]]})
    assert asking.places("DE") == ((53.5, 10.0), (48.1, 11.6))
    assert asking.access("DE", NOON).detail == "168 h ahead, mean over 2 places"


def test_what_was_is_observed_and_never_issued(server: OpenMeteoServer) -> None:
    now = NOON + timedelta(minutes=40)
    fetched = feed(server).fetch_observations("DE", NOON - 3 * DAY, NOON + DAY, now)
    assert fetched.issued == ()
    assert fetched.notes == (AFTERWARDS,)
    for each in fetched.observed:
        assert each.steps.start_ms[0] == milliseconds(NOON - 3 * DAY)
        assert each.steps.end_ms[-1] == milliseconds(NOON)
    (asked,) = server.requests
    assert (asked.value("start_date"), asked.value("end_date")) == ("2026-02-26", "2026-03-01")


def test_last_hour_of_a_day_is_not_lost(server: OpenMeteoServer) -> None:
    midnight = NOON.replace(hour=0)
    fetched = feed(server).fetch_observations("DE", midnight - DAY, midnight, NOON)
    assert len(past(fetched, "short_wave_w_m2").start_ms) == 24
    assert len(past(fetched, "temperature_k").start_ms) == 24


def test_null_within_is_a_hole(server: OpenMeteoServer) -> None:
    def blank(body: dict[str, Any]) -> None:
        body["hourly"]["precipitation"][20] = None

    server.fail(Fault(alter=altered(blank)))
    fetched = feed(server).fetch_forecast("DE", NOON)
    assert milliseconds(NOON.replace(hour=19)) not in ahead(fetched, "precipitation_mm").start_ms
    assert len(ahead(fetched, "precipitation_mm").start_ms) == 7 * 24 - 1


@pytest.mark.parametrize("day", [datetime(2026, 3, 29, tzinfo=UTC), datetime(2026, 10, 25, tzinfo=UTC)])
def test_days_on_which_clocks_change_have_24_utc_hours(server: OpenMeteoServer, day: datetime) -> None:
    server.now = day + 3 * DAY
    fetched = feed(server).fetch_observations("DE", day, day + DAY, server.now)
    assert len(past(fetched, "wind_m_s").start_ms) == 24


def units(name: str, unit: str | None) -> Callable[[dict[str, Any]], None]:
    return lambda body: body["hourly_units"].update({name: unit})


def column(name: str, values: object) -> Callable[[dict[str, Any]], None]:
    return lambda body: body["hourly"].update({name: values})


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (units("wind_speed_10m", "km/h"), "told wind_speed_10m in 'km/h', not 'm/s'"),
        (units("temperature_2m", "°F"), "told temperature_2m in '°F', not '°C'"),
        (units("shortwave_radiation", None), "told shortwave_radiation in 'None'"),
        (units("time", "iso8601"), "told local times or none"),
        (lambda body: body.update(utc_offset_seconds=3600), "local times or none: refused"),
        (column("precipitation", [1.0]), "told not as many values of precipitation as hours"),
        (column("precipitation", ["0.1"] * 192), "told a value of precipitation that is no number"),
        (column("time", ["2026-03-01T00:00"] * 192), "told times that are no Unix seconds"),
        (column("time", [0, 3600, 3600, 7200]), "told times that are not hour after hour"),
        (lambda body: body.pop("hourly") and None, "Open-Meteo's hourly is not an object but nothing"),
        (lambda body: [body, body], "told 2 places instead of 1"),
    ],
)
def test_units_times_and_values_of_another_form_are_refused(
    server: OpenMeteoServer, change: Callable[[dict[str, Any]], object], sentence: str
) -> None:
    server.fail(Fault(alter=altered(change)))
    with pytest.raises(FeedError, match=sentence):
        feed(server).fetch_forecast("DE", NOON)


def test_key_goes_to_the_commercial_host_and_is_never_shown(server: OpenMeteoServer) -> None:
    server.key = "a-bought-key"
    assert feed(server, "a-bought-key").fetch_forecast("DE", NOON).issued
    with pytest.raises(FeedError, match="does not accept this key: check OPEN_METEO_KEY") as refused:
        feed(server, "wrong-key-3").fetch_forecast("DE", NOON)
    assert refused.value.denied
    assert "wrong-key-3" not in str(refused.value)
    hosts = [OpenMeteo({}, keys, transport("Open-Meteo")).base_url for keys in ({}, {"key": Secret("k")})]
    assert hosts == [BASE_URL, KEYED_URL]


def test_refusal_passes_on_the_reason(server: OpenMeteoServer) -> None:
    with pytest.raises(FeedError, match=r"refused the request \(400\): .*out of allowed range"):
        feed(server).fetch_observations("DE", NOON - 200 * DAY, NOON - 199 * DAY, NOON)


@pytest.mark.parametrize("headers", [{"Retry-After": "90"}, {}])
def test_too_many_calls_are_tried_later(server: OpenMeteoServer, headers: dict[str, str]) -> None:
    server.fail(busy(headers))
    with pytest.raises(FeedError, match="answered 429: too many calls") as refused:
        feed(server).fetch_forecast("DE", NOON)
    assert refused.value.transient
    assert (refused.value.retry_after_s or 0) >= 60


def test_service_that_hangs_is_left_and_tried_later(server: OpenMeteoServer) -> None:
    event = hang(server)
    hasty = OpenMeteo({"base_url": server.url}, {}, transport("Open-Meteo", patience_s=SHORT_S))
    with pytest.raises(FeedError, match="did not answer in time") as refused:
        hasty.fetch_forecast("DE", NOON)
    event.set()
    assert refused.value.transient


def test_dropped_connections_are_tried_again_at_once(server: OpenMeteoServer) -> None:
    server.fail(Fault(drop=True))
    server.fail(Fault(drop=True, after_bytes=150))
    assert feed(server).fetch_forecast("DE", NOON).issued


@pytest.mark.parametrize("body", [b"", b"<html>maintenance</html>", b"[]", b"[1]", b"{}"])
def test_body_of_another_form_is_one_clear_sentence(server: OpenMeteoServer, body: bytes) -> None:
    server.fail(Fault(response=Response(200, body)))
    with pytest.raises(FeedError, match=r"with no JSON|told 0 places|is not an object but"):
        feed(server).fetch_forecast("DE", NOON)


def test_unknown_zone_has_nothing(server: OpenMeteoServer) -> None:
    assert feed(server).quantities("nowhere") == ()
    with pytest.raises(FeedError, match="there is no such zone") as refused:
        feed(server).fetch_forecast("nowhere", NOON)
    assert refused.value.denied


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"places": [[52.5, 13.4]]}, "must be a table such as"),
        ({"places": {"nowhere": [[52.5, 13.4]]}}, "name a zone that does not exist: nowhere"),
        ({"places": {"DE": []}}, "must be a list of 1 to 5"),
        ({"places": {"DE": [[52.5]]}}, r"must be \[latitude, longitude\] in degrees"),
        ({"places": {"DE": [[152.5, 13.4]]}}, r"must be \[latitude, longitude\] in degrees"),
        ({"hours": 24}, "has no option 'hours'"),
    ],
)
def test_wrong_options_are_refused(server: OpenMeteoServer, options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ForecastError, match=sentence):
        feed(server, **options)
