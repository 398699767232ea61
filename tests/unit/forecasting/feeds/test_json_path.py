"""Paths into JSON, and addresses with places to fill in."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from tidewatt.forecasting.errors import ForecastError
from tidewatt.forecasting.feeds.address import address
from tidewatt.forecasting.feeds.feed import FeedError
from tidewatt.forecasting.feeds.json_path import path

T0 = datetime(2026, 3, 1, 6, 30, tzinfo=UTC)
BODY = {"a": {"b": [{"c": 1}, {"c": None}, {}, {"c": 4}]}, "pairs": [[10, 1.5], [20, 2.5], [30]], "n": 7}


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("n", [7]),
        ("a.b[*].c", [1, None, None, 4]),
        ("a.b[3].c", [4]),
        ("pairs[*][0]", [10, 20, 30]),
        ("pairs[*][1]", [1.5, 2.5, None]),
        ("pairs[9]", [None]),
        ("pairs[*][*]", [10, 1.5, 20, 2.5, 30]),
    ],
)
def test_path_leads_to_its_values(text: str, values: list[object]) -> None:
    assert path(text, "value").values(BODY) == values


def test_path_may_begin_with_the_list_itself() -> None:
    assert path("[*].t", "time").values([{"t": 1}, {"t": 2}]) == [1, 2]
    assert path("[0].t", "time").value([{"t": 1}]) == 1


@pytest.mark.parametrize("text", ["missing", "n[0]", "n[*]", "n.x", "a.b.c", "a.x[*]"])
def test_path_that_is_not_there_says_so(text: str) -> None:
    with pytest.raises(FeedError, match=r"there is no .* on the way to"):
        path(text, "value").values(BODY)


@pytest.mark.parametrize(
    "text", ["", ".", "a.", ".a", "a..b", "a[", "a[-1]", "a[x]", "a b", "a]b", "a[*]b", "__import__('os')"]
)
def test_text_that_is_no_path_is_refused(text: str) -> None:
    with pytest.raises(ForecastError, match="value must be a path such as"):
        path(text, "value")


def test_stars_are_counted() -> None:
    with pytest.raises(ForecastError, match=r"may hold \[\*\] twice at most"):
        path("a[*][*][*]", "value")


@pytest.mark.parametrize(
    ("template", "filled"),
    [
        ("https://h.example/{zone}", "https://h.example/north%2F1"),
        ("https://h.example/?t={now}", "https://h.example/?t=2026-03-01T06:30:00Z"),
        ("https://h.example/?t={now:%Y-%m-%dT%H:%MZ}", "https://h.example/?t=2026-03-01T06:30Z"),
        ("https://h.example/?t={now:%d %b}", "https://h.example/?t=01%20Mar"),
        ("https://h.example/?t={now:unix_s}", "https://h.example/?t=1772346600"),
        ("http://127.0.0.1:8080/?t={now:unix_ms}", "http://127.0.0.1:8080/?t=1772346600000"),
    ],
)
def test_places_are_filled_in_as_utc_and_cannot_change_the_address(template: str, filled: str) -> None:
    local = T0.astimezone(timezone(timedelta(hours=5)))
    assert address(template, ("zone", "now"), "url").filled("north/1", {"now": local}) == filled
