"""Bodies as the services document them are read as they are meant."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tidewatt.forecasting.feeds import electricitymaps_replies, great_britain, watttime_replies, wire
from tidewatt.forecasting.feeds.feed import FeedError, Fetched
from tidewatt.forecasting.feeds.reply import Reply
from tidewatt.forecasting.feeds.watttime_replies import GRAMS_PER_KWH
from tidewatt.forecasting.kind import Basis
from tidewatt.forecasting.series import milliseconds

T0 = datetime(2026, 3, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
Body = Callable[[str], wire.Record]


@pytest.fixture
def body(shared_reference: Path) -> Body:
    return lambda name: wire.record(json.loads((shared_reference / "wire" / name).read_text()), name)


def history(body: wire.Record, zone: str = "DE", start: datetime = T0) -> Fetched:
    return electricitymaps_replies.parsed_observed(body, zone, Basis.LIFECYCLE, start, start + DAY, False)


def test_watttime_forecast(body: Body) -> None:
    (only,) = watttime_replies.parsed_forecast(body("watttime/forecast_200.json"), "CAISO_NORTH").issued
    assert only.issued_at == T0
    assert len(only.steps.start_ms) == 6
    assert only.steps.gco2_per_kwh[0] == pytest.approx(820.5 * GRAMS_PER_KWH)


def test_watttime_warning(body: Body) -> None:
    fetched = watttime_replies.parsed_forecast(body("watttime/forecast_200_with_warning.json"), "CAISO_NORTH")
    assert fetched.notes == ("WattTime warns: This is just an example",)


@pytest.mark.parametrize(("name", "notes"), [("historical_200", 0), ("historical_200_imputed_marker", 1)])
def test_watttime_history(body: Body, name: str, notes: int) -> None:
    fetched = watttime_replies.parsed_historical(
        body(f"watttime/{name}.json"), "CAISO_NORTH", T0, T0 + timedelta(minutes=20)
    )
    assert len(fetched.observed[0].steps.start_ms) == 4
    assert len(fetched.notes) == notes


def test_watttime_percentile_is_no_intensity(body: Body) -> None:
    with pytest.raises(FeedError, match="units 'percentile' where 'lbs_co2_per_mwh' was expected"):
        watttime_replies.parsed_forecast(body("watttime/signal_index_200.json"), "CAISO_NORTH")


def test_watttime_access_and_region(body: Body) -> None:
    access = body("watttime/my_access_200.json")
    assert watttime_replies.listed_verbs(access, "CAISO_NORTH") == ("forecast", "history")
    assert watttime_replies.listed_verbs(access, "UK") == ()
    area = watttime_replies.parsed_area(body("watttime/region_from_loc_200.json"), "US-NE-ISNE")
    assert area.region == "ISONE_WCMA"
    assert area.how == " (ISONE Western/Central Massachusetts), which holds the centre of US-NE-ISNE"


def test_electricitymaps_forecast(body: Body) -> None:
    (only,) = electricitymaps_replies.parsed_forecast(
        body("electricitymaps/forecast_200.json"), "DE", T0
    ).issued
    assert only.issued_at == datetime(2026, 3, 1, 5, 47, 2, 408000, UTC)
    assert only.steps.gco2_per_kwh.tolist() == [330, 335, 340, 345, 350, 355]


def test_electricitymaps_history_and_its_null(body: Body) -> None:
    whole = history(body("electricitymaps/history_200.json"))
    assert whole.observed[0].steps.gco2_per_kwh.tolist() == [300, 301, 302]
    holed = history(body("electricitymaps/history_200_null_value.json"))
    assert holed.observed[0].steps.gco2_per_kwh.tolist() == [300]
    assert holed.notes == ("history of Electricity Maps: 1 without a value, left open",)


def test_electricitymaps_latest_past_and_past_range(body: Body) -> None:
    latest = history(body("electricitymaps/latest_200.json"))
    assert latest.observed[0].steps.start_ms.tolist() == [milliseconds(T0 + 6 * HOUR)]
    assert latest.notes == ("Electricity Maps: 1 estimated (TIME_SLICER_AVERAGE), to be restated",)
    flat = body("electricitymaps/past_200.json")
    then = datetime(2019, 5, 21, tzinfo=UTC)
    for shape in (flat, {"zone": "DE", "data": flat}, {"zone": "DE", "data": [flat]}):
        assert history(shape, start=then).observed[0].steps.gco2_per_kwh.tolist() == [322]
    february = datetime(2026, 2, 1, tzinfo=UTC)
    ranged = history(body("electricitymaps/past_range_200.json"), start=february)
    assert ranged.observed[0].steps.gco2_per_kwh.tolist() == [280, 281, 282]


@pytest.mark.parametrize(
    ("name", "status", "in_plan", "data"),
    [
        ("error_400", 400, True, True),
        ("error_401", 401, True, True),
        ("error_404_no_data", 404, True, False),
        ("error_404_no_data_sdk_shape", 404, True, False),
        ("error_unauthorized_zone_contains", 401, False, True),
    ],
)
def test_electricitymaps_errors(
    shared_reference: Path, name: str, status: int, in_plan: bool, data: bool
) -> None:
    content = (shared_reference / "wire" / "electricitymaps" / f"{name}.json").read_bytes()
    reply = Reply("x", status, {}, content)
    assert electricitymaps_replies.not_in_plan(reply) is not in_plan
    assert electricitymaps_replies.no_data(reply) is not data


def test_great_britain_national(body: Body) -> None:
    national = body("ukci/intensity_fw48h_200.json")
    (only,) = great_britain.parsed_forecast(national, T0).issued
    assert only.steps.gco2_per_kwh.tolist() == [150, 151, 152]
    (past,) = great_britain.parsed_observed(national, T0, T0 + DAY).observed
    assert past.steps.gco2_per_kwh.tolist() == [152]


@pytest.mark.parametrize("name", ["regional_fw48h_postcode_200", "regional_postcode_now_200"])
def test_great_britain_regional_as_object_and_as_list(body: Body, name: str) -> None:
    (only,) = great_britain.parsed_forecast(body(f"ukci/{name}.json"), T0).issued
    assert only.steps.gco2_per_kwh[0] == 150
