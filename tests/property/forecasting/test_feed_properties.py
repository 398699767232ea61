"""What feeds make of replies, under all inputs."""

from datetime import UTC, datetime, timedelta

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tidewatt.forecasting.errors import ForecastError
from tidewatt.forecasting.feeds.address import address
from tidewatt.forecasting.feeds.eia import parameters
from tidewatt.forecasting.feeds.entsoe_documents import document
from tidewatt.forecasting.feeds.feed import FeedError
from tidewatt.forecasting.feeds.generation import Generation, by_fuel, finished
from tidewatt.forecasting.feeds.json_path import path

T0 = datetime(2026, 3, 1, tzinfo=UTC)
minutes = st.integers(-3000, 3000)
json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)
powers = st.lists(st.floats(0, 1e5, width=32) | st.just(float("nan")), min_size=6, max_size=6)


def xml(values: list[int], curve: str) -> bytes:
    """One series of these values; on curve A03 without repeats."""
    points = "".join(
        f"<Point><position>{i + 1}</position><quantity>{value}</quantity></Point>"
        for i, value in enumerate(values)
        if curve == "A01" or i == 0 or value != values[i - 1]
    )
    end = T0 + timedelta(minutes=15 * len(values))
    return (
        f"<GL_MarketDocument><TimeSeries><quantity_Measure_Unit.name>MAW</quantity_Measure_Unit.name>"
        f"<curveType>{curve}</curveType><Period><timeInterval><start>{T0:%Y-%m-%dT%H:%MZ}</start>"
        f"<end>{end:%Y-%m-%dT%H:%MZ}</end></timeInterval><resolution>PT15M</resolution>{points}"
        f"</Period></TimeSeries></GL_MarketDocument>"
    ).encode()


@given(st.lists(st.integers(-3, 3), min_size=1, max_size=30))
def test_repeats_that_are_left_out_are_put_back_exactly(values: list[int]) -> None:
    (short,), (whole,) = (document(xml(values, curve), "it").tracks for curve in ("A03", "A01"))
    assert short.points == whole.points
    assert [point.value for point in short.points] == values


@given(st.binary(max_size=60) | st.text(alphabet="<>/a!&;[] \n", max_size=60).map(str.encode))
def test_any_bytes_are_a_document_or_one_clear_error(body: bytes) -> None:
    said = "it is a document"
    try:
        document(body, "it")
    except FeedError as error:
        said = str(error)
    assert said.startswith("it ")


@given(minutes, minutes)
def test_hours_asked_of_eia_are_exactly_those_inside(first: int, second: int) -> None:
    start, end = (T0 + timedelta(minutes=each) for each in sorted((first, second)))
    query = parameters("CISO", start, end)
    ends = [datetime.strptime(query[name], "%Y-%m-%dT%H").replace(tzinfo=UTC) for name in ("start", "end")]
    hours = [T0 + timedelta(hours=i) for i in range(-52, 52)]
    inside = [hour for hour in hours if start <= hour and hour + timedelta(hours=1) <= end]
    asked = [hour for hour in hours if ends[0] <= hour + timedelta(hours=1) <= ends[1]]
    assert asked == inside


@given(st.dictionaries(st.sampled_from("abcd"), powers, min_size=1))
def test_adding_parts_up_neither_loses_nor_makes_power(mw: dict[str, list[float]]) -> None:
    start_ms = 3_600_000 * np.arange(6)
    told = Generation(start_ms, 3_600_000, {part: np.array(values, float) for part, values in mw.items()})
    fuels = {"a": "coal", "b": "coal", "c": "gas", "d": "storage"}
    added = by_fuel(told, fuels)
    for i in range(6):
        if all(np.isfinite(told.mw[part][i]) for part in told.mw):
            parts, sums = (sum(power[i] for power in each.mw.values()) for each in (told, added))
            assert np.isclose(parts, sums)
    kept, _ = finished(told)
    assert kept.start_ms.tolist() == start_ms[: len(kept.start_ms)].tolist()


@given(st.text(max_size=20), json)
def test_any_text_is_a_path_that_finds_something_or_one_clear_error(text: str, body: object) -> None:
    said = "value was found on the way to the end"
    try:
        assert isinstance(path(text, "value").values(body), list)
    except ForecastError as error:
        said = str(error)
    assert said.startswith("value ") or "on the way to" in said


@given(st.text(alphabet="https:/.{}zone%Y@ab", max_size=40), st.text(max_size=10))
def test_any_address_keeps_its_host_or_is_refused(template: str, zone: str) -> None:
    filled, said = "https://h.example/", "url is well"
    try:
        filled = address(f"https://h.example/{template}", ("zone",), "url").filled(zone, {})
    except ForecastError as error:
        said = str(error)
    assert filled.startswith("https://h.example/")
    assert said.startswith("url")
