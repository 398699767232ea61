"""What stands in documents of the ENTSO-E transparency platform."""

import csv
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.grid.entsoe_server import acknowledged
from tidewatt.forecasting.feeds import markup
from tidewatt.forecasting.feeds.areas import TABLE, area
from tidewatt.forecasting.feeds.entsoe_documents import GENERATION, LOAD, Document, document, parameters
from tidewatt.forecasting.feeds.entsoe_tracks import FUELS, driven, mix, total
from tidewatt.forecasting.feeds.feed import FeedError
from tidewatt.forecasting.quantity import FUELS as OURS
from tidewatt.forecasting.series import Steps, milliseconds
from tidewatt.forecasting.zones import keyed, zone

T0 = datetime(2026, 3, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
GERMANY = zone("DE")


def period(
    values: dict[int, float], start: datetime = T0, hours: float = 4, resolution: str = "PT60M"
) -> str:
    points = "".join(
        f"<Point><position>{position}</position><quantity>{value}</quantity></Point>"
        for position, value in values.items()
    )
    end = start + timedelta(hours=hours)
    interval = f"<start>{start:%Y-%m-%dT%H:%MZ}</start><end>{end:%Y-%m-%dT%H:%MZ}</end>"
    steps = f"<timeInterval>{interval}</timeInterval><resolution>{resolution}</resolution>"
    return f"<Period>{steps}{points}</Period>"


def series(part: str, *periods: str, curve: str = "A01", side: str = "in", unit: str = "MAW") -> str:
    kind = f"<MktPSRType><psrType>{part}</psrType></MktPSRType>" if part else ""
    return (
        f"<TimeSeries><{side}BiddingZone_Domain.mRID>X</{side}BiddingZone_Domain.mRID>"
        f"<quantity_Measure_Unit.name>{unit}</quantity_Measure_Unit.name><curveType>{curve}</curveType>{kind}"
        f"{''.join(periods)}</TimeSeries>"
    )


def told(*parts: str) -> Document:
    made = "<createdDateTime>2026-03-01T10:00:00Z</createdDateTime>"
    xml = f"<GL_MarketDocument xmlns='urn:x'>{made}{''.join(parts)}</GL_MarketDocument>"
    return document(xml.encode(), "the document")


def power(found: Document, quantity: str) -> Steps:
    (steps,) = [each.steps for each in mix(found, GERMANY)[0] if each.quantity == quantity]
    return steps


def test_platforms_own_sample_is_read(shared_reference: Path) -> None:
    sample = (shared_reference / "wire/entsoe/A69_wind_solar_forecast_200.xml").read_bytes()
    found = document(sample, "the sample")
    assert found.made_at == datetime(2026, 3, 1, 10, tzinfo=UTC)
    ahead, _ = driven([found], GERMANY)
    assert ahead["solar"].gco2_per_kwh.tolist() == [0, 12]
    assert ahead["solar"].start_ms[0] == milliseconds(datetime(2026, 3, 1, 23, tzinfo=UTC))


def test_query_names_area_and_utc_minutes() -> None:
    local = datetime.fromisoformat("2026-03-01T01:30:00+01:00")
    query = parameters(GENERATION, "10YFI-1--------U", local, local + HOUR)
    assert query == {
        "documentType": "A75",
        "processType": "A16",
        "in_Domain": "10YFI-1--------U",
        "periodStart": "202603010030",
        "periodEnd": "202603010130",
    }
    assert parameters(LOAD, "X", local, local)["outBiddingZone_Domain"] == "X"


def test_positions_left_out_repeat_the_one_before_on_curve_a03_to_the_end_of_the_period() -> None:
    steps = power(told(series("B04", period({1: 5, 3: 7}), curve="A03")), "mw gas")
    assert steps.gco2_per_kwh.tolist() == [5, 5, 7, 7]


def test_positions_left_out_are_holes_on_curve_a01() -> None:
    steps = power(told(series("B04", period({1: 5, 3: 7}))), "mw gas")
    assert steps.gco2_per_kwh.tolist() == [5, 7]
    assert steps.start_ms.tolist() == [milliseconds(T0), milliseconds(T0 + 2 * HOUR)]


def test_position_before_the_first_one_of_curve_a03_is_a_hole() -> None:
    steps = power(told(series("B04", period({2: 5}), curve="A03")), "mw gas")
    assert steps.start_ms[0] == milliseconds(T0 + HOUR)


def test_periods_and_series_of_one_plant_type_are_put_together() -> None:
    later = period({1: 9}, T0 + 4 * HOUR, 1)
    steps = power(
        told(series("B04", period({1: 5}, hours=1), later), series("B04", period({2: 6}, hours=2))), "mw gas"
    )
    assert steps.gco2_per_kwh.tolist() == [5, 6, 9]


@pytest.mark.parametrize(("resolution", "minutes"), [("PT15M", 15), ("PT30M", 30), ("PT60M", 60)])
def test_every_resolution_keeps_its_own_steps(resolution: str, minutes: int) -> None:
    steps = power(
        told(series("B04", period({1: 5, 2: 6}, hours=2 * minutes / 60, resolution=resolution))), "mw gas"
    )
    assert (steps.end_ms - steps.start_ms).tolist() == [minutes * 60_000] * 2


def test_hourly_and_quarter_hourly_plant_types_meet_on_quarters() -> None:
    hourly, quarters = (
        period({1: 400}, hours=1),
        period({1: 10, 2: 20, 3: 30, 4: 40}, hours=1, resolution="PT15M"),
    )
    found = told(series("B14", hourly), series("B04", quarters))
    assert power(found, "mw nuclear").gco2_per_kwh.tolist() == [400] * 4
    intensity = power(found, "average lifecycle CO2eq, production")
    assert intensity.gco2_per_kwh[0] == pytest.approx((400 * 12 + 10 * 490) / 410)


def test_consumption_of_pumps_is_negative_storage_and_that_of_others_is_passed_over() -> None:
    found = told(
        series("B10", period({1: 0, 2: 30}, hours=2)),
        series("B10", period({1: 50, 2: 0}, hours=2), side="out"),
        series("B04", period({1: 100, 2: 100}, hours=2)),
        series("B04", period({1: 7, 2: 7}, hours=2), side="out"),
    )
    assert power(found, "mw storage").gco2_per_kwh.tolist() == [-50, 30]
    assert power(found, "mw gas").gco2_per_kwh.tolist() == [100, 100]


@pytest.mark.parametrize(
    ("day", "hours"),
    [(datetime(2026, 3, 28, 23, tzinfo=UTC), 23), (datetime(2026, 10, 24, 22, tzinfo=UTC), 25)],
)
def test_days_on_which_clocks_change_have_23_and_25_hours(day: datetime, hours: int) -> None:
    found = told(series("B04", period({i: float(i) for i in range(1, hours + 1)}, day, hours)))
    steps = power(found, "mw gas")
    assert len(steps.start_ms) == hours
    assert steps.end_ms[-1] == milliseconds(day + hours * HOUR)


def test_acknowledgement_of_nothing_is_nothing() -> None:
    body = acknowledged("No matching data found for Data item X").content()
    assert document(body, "the reply").tracks == ()


def test_acknowledgement_of_anything_else_is_a_refusal_that_is_passed_on() -> None:
    body = acknowledged("The amount of requested data exceeds allowed limit").content()
    with pytest.raises(FeedError, match="the reply is a refusal: The amount of requested data exceeds"):
        document(body, "the reply")


@pytest.mark.parametrize(
    ("xml", "sentence"),
    [
        (series("B04", period({1: 5}), unit="KWT"), "is in 'KWT' instead of 'MAW'"),
        (series("B04", period({5: 5})), "a point outside of its period"),
        (series("B04", period({0: 5})), "a point outside of its period"),
        (series("B04", period({1: 5}, resolution="P1D")), "steps of 'P1D'"),
        (series("B04", period({1: 5}, hours=1.5)), "not a whole number of steps"),
        (series("B04", period({1: 5}, hours=-1)), "not a whole number of steps"),
        (series("B04", period({1: 5}, hours=24 * 365 * 20)), "not a whole number of steps"),
        (series("B04", period({1: float("nan")})), "a quantity that is no number"),
        (series("B04", period({1: 5}).replace("00:00Z", "00:00")), "has no time zone"),
    ],
)
def test_what_cannot_be_understood_is_refused(xml: str, sentence: str) -> None:
    with pytest.raises(FeedError, match=sentence):
        told(xml)


@pytest.mark.parametrize(
    "body",
    [
        b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>',
        b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><GL_MarketDocument>&x;</GL_MarketDocument>',
        b'<!DOCTYPE html PUBLIC "-//W3C//DTD HTML 4.0//EN" "http://www.w3.org/TR/REC-html40/loose.dtd"><html/>',
    ],
)
def test_document_types_and_with_them_entities_are_refused(body: bytes) -> None:
    with pytest.raises(FeedError, match="declares a document type: refused"):
        document(body, "the reply")


@pytest.mark.parametrize("body", [b"", b"no markup", b"<a><b></a>", b"<a>\xff</a>"])
def test_body_that_is_not_xml_is_one_clear_sentence(body: bytes) -> None:
    with pytest.raises(FeedError, match=r"the reply is not XML \(line 1\)") as refused:
        document(body, "the reply")
    assert refused.value.transient


def test_commas_between_thousands_are_no_decimals() -> None:
    written = series("B04", period({1: 1234.5, 2: 5}, hours=2)).replace(">1234.5<", ">1,234.5<")
    assert power(told(written), "mw gas").gco2_per_kwh.tolist() == [1234.5, 5]
    with pytest.raises(FeedError, match="a quantity that is no number"):
        told(written.replace(">1,234.5<", ">1,23<"))


def test_deep_nesting_is_refused() -> None:
    with pytest.raises(FeedError, match="nested too deeply"):
        document(b"<a>" * 100, "the reply")


def test_more_elements_than_any_document_has_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(markup, "MOST", 100)
    with pytest.raises(FeedError, match="more than 100 elements"):
        document(b"<a>" + b"<b/>" * 100 + b"</a>", "the reply")


def test_document_of_another_kind_is_refused() -> None:
    with pytest.raises(FeedError, match="of an unknown kind, Publication_MarketDocument"):
        document(b"<Publication_MarketDocument/>", "the reply")


def test_plant_type_that_is_new_counts_as_other_and_is_said() -> None:
    found, notes = mix(told(series("B77", period({1: 5}, hours=1))), GERMANY)
    assert found[0].quantity == "mw other"
    assert "ENTSO-E's plant type 'B77' is not known here and counts as other" in notes


def test_of_several_forecasts_the_newest_that_has_a_step_counts() -> None:
    current = told(series("B16", period({1: 11}, hours=1)), series("B19", period({1: 1, 2: 2}, hours=2)))
    day_ahead = told(
        series("B16", period({1: 90, 2: 91}, hours=2)), series("B19", period({1: 80, 2: 81}, hours=2))
    )
    ahead, _ = driven([current, told(), day_ahead], GERMANY)
    assert ahead["solar"].gco2_per_kwh.tolist() == [11, 91]
    assert ahead["wind"].gco2_per_kwh.tolist() == [1, 2]


def test_sun_that_is_not_forecast_at_night_is_zero_then() -> None:
    wind = series("B19", period(dict.fromkeys(range(1, 25), 9.0), hours=24))
    sun = series("B16", period({8: 3.0}, T0 + 4 * HOUR, 8))
    ahead, _ = driven([told(wind, sun)], GERMANY)
    hours = (ahead["solar"].start_ms - milliseconds(T0)) // 3_600_000
    assert {0, 1, 2, 3, 11, 20, 23} <= {*hours.tolist()}
    assert not {9, 10, 12, 13} & {*hours.tolist()}  # by day, what is missing stays so
    assert ahead["solar"].gco2_per_kwh.sum() == 3


def test_wind_at_sea_and_on_land_are_added_up() -> None:
    found = told(series("B18", period({1: 3}, hours=1)), series("B19", period({1: 4}, hours=1)))
    assert driven([found], GERMANY)[0]["wind"].gco2_per_kwh.tolist() == [7]


def test_total_of_generation_is_not_mixed_with_what_is_taken_beside_it() -> None:
    found = told(series("", period({1: 50}, hours=1)), series("", period({1: 4}, hours=1), side="out"))
    assert total(found, "generation")[0].gco2_per_kwh.tolist() == [50]


def test_two_values_for_one_time_in_steps_of_different_length_are_refused() -> None:
    found = told(
        series("B04", period({1: 5}, hours=1)), series("B04", period({2: 6}, hours=1, resolution="PT15M"))
    )
    with pytest.raises(FeedError, match="two values for"):
        mix(found, GERMANY)


def test_every_plant_type_has_one_of_our_fuels() -> None:
    assert {f"B{i:02}" for i in (*range(1, 21), 25)} == {*FUELS}
    assert {*FUELS.values()} == {*OURS}


def test_area_codes_have_their_check_character_and_name_our_zones() -> None:
    """The last character is a checksum: manual of the energy identification coding scheme, ENTSO-E."""
    digits = {**{str(i): i for i in range(10)}, **{chr(55 + i): i for i in range(10, 36)}, "-": 36}
    rows = csv.DictReader(line for line in TABLE.read_text("utf-8").splitlines() if not line.startswith("#"))
    keys = [row["zone"] for row in rows]
    codes = [area(key) for key in keys]
    for key, eic in zip(keys, codes, strict=True):
        assert keyed(key) is not None
        weighted = sum(digits[c] * (16 - i) for i, c in enumerate(eic[:15]))
        assert digits[eic[15]] == 36 - (weighted - 1) % 37
    assert len({*codes}) == len(codes) > 0
