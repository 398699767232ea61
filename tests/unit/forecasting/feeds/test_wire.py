"""Values as they come over the wire are checked before they are believed."""

from datetime import UTC, datetime

import pytest

from tidewatt.forecasting.feeds import wire
from tidewatt.forecasting.feeds.feed import FeedError
from tidewatt.forecasting.feeds.reply import Reply
from tidewatt.forecasting.feeds.secret import Secret


@pytest.mark.parametrize(
    "text",
    [
        "2026-03-01T06:00:00.000Z",
        "2026-03-01T06:00Z",
        "2026-03-01T06:00:00+00:00",
        "2026-03-01T07:00:00+01:00",
        "2026-03-01 06:00:00+00:00",
    ],
)
def test_times_with_a_zone_are_the_same_instant(text: str) -> None:
    assert wire.moment(text, "x") == datetime(2026, 3, 1, 6, tzinfo=UTC)


@pytest.mark.parametrize(
    "value", ["2026-03-01", "2026-03-01T06:00:00", "soon", "", None, 1772344800, "0001-01-01T00:00+14:00"]
)
def test_other_times_are_refused(value: object) -> None:
    with pytest.raises(FeedError, match=r"point_time (is not a time|has no time zone)"):
        wire.moment(value, "point_time")


@pytest.mark.parametrize("value", [True, "412", [1], {}, float("inf"), float("nan"), 10**400])
def test_other_values_than_numbers_are_refused(value: object) -> None:
    with pytest.raises(FeedError, match="value is not a number but"):
        wire.number(value, "value")


def test_numbers_and_null() -> None:
    assert [wire.number(value, "v") for value in (1, 2.5, -3, None)] == [1.0, 2.5, -3.0, None]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"error": "E", "message": "M"}', "M"),
        (b'{"error": {"code": "400 Bad Request", "message": "Please enter"}}', "Please enter"),
        (b'{"error": "Invalid auth-token"}', "Invalid auth-token"),
        (b'{"error": "E", "msg": "older"}', "older"),
        (b'{"detail": "Unauthorized"}', "Unauthorized"),
        (b"<html>", "status 400"),
        (b"{}", "status 400"),
        (b"\x00\xff", "status 400"),
        (b'{"message": "line\\n\\u001b[2Jtwo"}', "line ?[2Jtwo"),
    ],
)
def test_what_a_refusal_tells_people(body: bytes, said: str) -> None:
    assert wire.said(Reply("x", 400, {}, body)) == said


def test_long_words_are_cut_and_credentials_hidden() -> None:
    reply = Reply("x", 400, {}, b'{"message": "' + b"word " * 90 + b'"}')
    assert len(wire.said(reply)) == wire.SAID_LENGTH
    reply = Reply("x", 400, {}, b'{"message": "key abc123 is wrong"}')
    assert wire.said(reply, [Secret("abc123")]) == "key (hidden) is wrong"
