"""Times and durations as people write them."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidewatt.scheduler.errors import BadInput
from tidewatt.scheduler.when import parse_duration, parse_moment, parse_time_limit, short

BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 11, 22, 17, 0, tzinfo=UTC)  # a Sunday, 18:00 in Berlin


@pytest.mark.parametrize(
    ("text", "minutes"),
    [
        ("90m", 90),
        ("3h", 180),
        ("1.5h", 90),
        ("1d12h", 2160),
        ("1d 12h", 2160),
        ("2 hours", 120),
        ("1w", 10080),
        ("90s", 1.5),
        ("3H", 180),
    ],
)
def test_duration_is_read_with_its_units(text: str, minutes: float) -> None:
    assert parse_duration(text) == timedelta(minutes=minutes)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("90", "no unit"),
        ("2:30", "two ways"),
        ("soon", "not a duration"),
        ("", "not a duration"),
        ("3 parsecs", "unknown unit"),
        ("-3h", "not a duration"),
        ("0h", "longer than nothing"),
        ("3h later", "not a duration"),
        ("99999999999999999999h", "longer than 3660 days"),
        ("3661d", "longer than 3660 days"),
    ],
)
def test_unclear_duration_is_refused_with_an_example(text: str, word: str) -> None:
    with pytest.raises(BadInput, match=word):
        parse_duration(text)


@given(st.integers(1, 3660 * 86400))
def test_duration_written_short_is_read_back(seconds: int) -> None:
    duration = timedelta(seconds=seconds)
    assert parse_duration(short(duration)) == duration


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90", timedelta(minutes=90)),
        ("90:30", timedelta(minutes=90, seconds=30)),
        ("2:30:00", timedelta(hours=2, minutes=30)),
        ("1-12", timedelta(days=1, hours=12)),
        ("1-12:30", timedelta(days=1, hours=12, minutes=30)),
        ("1-00:00:10", timedelta(days=1, seconds=10)),
        ("4h", timedelta(hours=4)),
    ],
)
def test_time_limit_follows_slurm(text: str, expected: timedelta) -> None:
    assert parse_time_limit(text) == expected


@pytest.mark.parametrize("text", ["0", "1:2:3:4", "1-", "-5", "UNLIMITED", "a:b", "9" * 30])
def test_what_is_no_time_limit_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match="time limit"):
        parse_time_limit(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("now", "2026-11-22T17:00"),
        ("18h", "2026-11-23T11:00"),
        ("+18h", "2026-11-23T11:00"),
        ("18:00", "2026-11-22T17:00"),  # at this very moment
        ("17:59", "2026-11-23T16:59"),  # has passed here today, so the next one
        ("today 17:59", "2026-11-22T16:59"),
        ("tomorrow 06:00", "2026-11-23T05:00"),
        ("Friday 18:00", "2026-11-27T17:00"),
        ("sun 06:00", "2026-11-29T05:00"),
        ("2026-11-23 08:00", "2026-11-23T07:00"),
        ("2026-07-01 08:00", "2026-07-01T06:00"),
        ("2026-11-23T08:00+05:30", "2026-11-23T02:30"),
        ("2026-11-23T08:00Z", "2026-11-23T08:00"),
        ("2026-11-23 08:00 UTC", "2026-11-23T08:00"),
        ("2026-11-23 08:00 America/New_York", "2026-11-23T13:00"),
    ],
)
def test_moment_is_read_as_people_mean_it(text: str, expected: str) -> None:
    assert parse_moment(text, NOW, BERLIN) == datetime.fromisoformat(expected).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("whenever", "cannot be read"),
        ("25:00", "no time of day"),
        ("2026-11-23", "no time of day"),
        ("2026-13-01 08:00", "cannot be read"),
        ("2026-11-23 08:00 CEST", "several zones share"),
        ("2026-11-23 08:00 Europe/Berln", "unknown time zone"),
        ("18", "cannot be read"),
        ("", "cannot be read"),
    ],
)
def test_unclear_moment_is_refused_with_an_example(text: str, word: str) -> None:
    with pytest.raises(BadInput, match=word):
        parse_moment(text, NOW, BERLIN, "--finish-by")


def test_local_time_that_the_clocks_skip_is_told() -> None:
    with pytest.raises(BadInput, match="does not exist here"):
        parse_moment("2027-03-28 02:30", NOW, BERLIN)


def test_local_time_that_happens_twice_is_told_with_both_offsets() -> None:
    with pytest.raises(BadInput, match=r"happens twice here.*\+02:00 or .*\+01:00"):
        parse_moment("2027-10-31 02:30", NOW, BERLIN)


@given(st.datetimes(datetime(2020, 1, 1), datetime(2035, 1, 1)))  # noqa: DTZ001 - local times are the subject
def test_local_time_is_read_where_it_happens_exactly_once(naive: datetime) -> None:
    local = naive.replace(second=0, microsecond=0)
    text = f"{local:%Y-%m-%d %H:%M}"
    fits = [
        moment
        for moment in (local.replace(tzinfo=BERLIN, fold=fold).astimezone(UTC) for fold in (0, 1))
        if moment.astimezone(BERLIN).replace(tzinfo=None, fold=0) == local
    ]
    if len(set(fits)) == 1:
        assert parse_moment(text, NOW, BERLIN) == fits[0]
    else:
        with pytest.raises(BadInput, match=r"does not exist|twice"):
            parse_moment(text, NOW, BERLIN)
