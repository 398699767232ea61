"""What was fetched stays as it was known at each moment; a damaged file costs no more than itself."""

import sqlite3
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from tidewatt.forecasting.archive import Archive, Citation
from tidewatt.forecasting.errors import ForecastError
from tidewatt.forecasting.feeds.feed import Fetched, Issued, Observed
from tidewatt.forecasting.logbook import Attempt, Outcome
from tidewatt.forecasting.series import Steps, milliseconds

T0 = datetime(2026, 3, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
Q = "average lifecycle CO2eq, production"
LATER = T0 + 99 * DAY


def steps(at: datetime, *values: float, step_min: int = 60) -> Steps:
    start = milliseconds(at) + np.arange(len(values)) * step_min * 60_000
    return Steps(start, start + step_min * 60_000, np.array(values, float))


def seen(at: datetime, *values: float, step_min: int = 60, quantity: str = Q) -> Fetched:
    return Fetched((Observed(quantity, steps(at, *values, step_min=step_min)),))


def issued(at: datetime, *values: float) -> Fetched:
    return Fetched(issued=(Issued(Q, at, steps(at, *values)),))


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    with Archive(tmp_path / "state" / "archive.db") as made:
        yield made


def known(archive: Archive, now: datetime, *, as_received: bool = True) -> list[float]:
    found = archive.observations("EIA", "DE", Q, T0 - DAY, LATER, now, as_received=as_received)
    return [float(value) for value in found.gco2_per_kwh]


def test_an_empty_archive_answers_with_nothing(archive: Archive) -> None:
    assert known(archive, LATER) == []
    assert archive.issue("EIA", "DE", Q, LATER) is None
    assert archive.issues("EIA", "DE", Q, T0, LATER, LATER) == []
    assert archive.quantities("DE") == ()
    assert archive.remarks(T0) == ()
    assert archive.attempts() == ()


def test_steps_are_known_from_when_they_had_ended_and_were_received(archive: Archive) -> None:
    archive.add("EIA", "DE", seen(T0, 100, 110), T0 + 3 * HOUR)
    assert known(archive, T0 + 2.9 * HOUR) == []
    assert known(archive, T0 + 3 * HOUR) == [100, 110]
    assert known(archive, T0 + 1.5 * HOUR, as_received=False) == [100]


def test_the_same_again_is_nothing_new(archive: Archive) -> None:
    fetched = replace(seen(T0, 100, 110), issued=issued(T0, 5, 6).issued)
    assert archive.add("EIA", "DE", fetched, T0 + 2 * HOUR) == 3
    assert archive.add("EIA", "DE", fetched, T0 + 3 * HOUR) == 0
    assert archive.add("EIA", "DE", seen(T0, 100, 111, 120), T0 + 4 * HOUR) == 2


def test_a_restated_step_leaves_what_was_known_before(archive: Archive) -> None:
    archive.add("EIA", "DE", seen(T0, 100, 110), T0 + 2 * HOUR)
    archive.add("EIA", "DE", seen(T0, 100, 90), T0 + 5 * HOUR)
    archive.add("EIA", "DE", seen(T0, 100, 110), T0 + 8 * HOUR)
    assert [known(archive, T0 + h * HOUR) for h in (2, 5, 8)] == [[100, 110], [100, 90], [100, 110]]
    assert known(archive, T0 + 2 * HOUR, as_received=False) == [100, 110]


def test_finer_steps_lie_over_coarser_ones(archive: Archive) -> None:
    archive.add("EIA", "DE", seen(T0, 100, 200), T0 + 2 * HOUR)
    archive.add("EIA", "DE", seen(T0 + HOUR / 2, 1, 2, step_min=30), T0 + 3 * HOUR)
    found = archive.observations("EIA", "DE", Q, T0, LATER, LATER)
    assert found.gco2_per_kwh.tolist() == [100, 1, 2, 200]
    assert ((found.end_ms - found.start_ms) / 60_000).tolist() == [30, 30, 30, 30]


def test_steps_on_the_edges_come_whole_however_long_they_are(archive: Archive) -> None:
    archive.add("EIA", "DE", seen(T0, 100, step_min=60 * 24 * 31), LATER)
    found = archive.observations("EIA", "DE", Q, T0 + 20 * DAY, T0 + 21 * DAY, LATER)
    assert found.start_ms.tolist() == [milliseconds(T0)]


def test_values_come_back_to_a_thousandth_and_holes_stay_holes(archive: Archive) -> None:
    archive.add("EIA", "DE", seen(T0, 123.4567, float("nan"), -0.0004, 1e5), LATER)
    assert known(archive, LATER) == [123.457, 0, 1e5]


def test_sources_zones_and_quantities_do_not_mix(archive: Archive) -> None:
    archive.add("EIA", "DE", seen(T0, 1), LATER)
    archive.add("ENTSO-E", "DE", seen(T0, 2), LATER)
    archive.add("EIA", "FR", seen(T0, 3), LATER)
    archive.add("EIA", "DE", seen(T0, -4, quantity="mw storage"), LATER)
    assert known(archive, LATER) == [1]
    assert archive.quantities("DE") == (("EIA", Q), ("ENTSO-E", Q), ("EIA", "mw storage"))
    assert archive.observations("EIA", "DE", "mw storage", T0, LATER, LATER).gco2_per_kwh.tolist() == [-4]


def test_steps_that_overlap_are_refused_and_nothing_of_the_fetch_is_kept(archive: Archive) -> None:
    two = steps(T0, 1, 2)
    crossing = Steps(two.start_ms, two.end_ms + 1, two.gco2_per_kwh)
    with pytest.raises(ForecastError, match="overlaps"):
        archive.add("EIA", "DE", Fetched((Observed("mw gas", two), Observed(Q, crossing))), LATER)
    assert archive.quantities("DE") == ()


def test_the_newest_issue_is_the_one_then_issued_and_received(archive: Archive) -> None:
    for hour in (0, 2, 1):
        archive.add("EIA", "DE", issued(T0 + hour * HOUR, hour, 9), T0 + (hour + 5) * HOUR)
    found = [archive.issue("EIA", "DE", Q, T0 + h * HOUR) for h in (4, 5, 6, 7)]
    assert [each and float(each.steps.gco2_per_kwh[0]) for each in found] == [None, 0, 1, 2]
    past = archive.issue("EIA", "DE", Q, T0 + HOUR, as_received=False)
    assert past is not None
    assert past.issued_at == T0 + HOUR


def test_a_restated_issue_is_told_as_it_was_known(archive: Archive) -> None:
    archive.add("EIA", "DE", issued(T0, 1), T0 + HOUR)
    archive.add("EIA", "DE", issued(T0, 2), T0 + 2 * HOUR)
    archive.add("EIA", "DE", issued(T0 + HOUR, 3), T0 + 2 * HOUR)
    told = [archive.issues("EIA", "DE", Q, T0, LATER, T0 + h * HOUR) for h in (1, 2)]
    assert [[each.steps.gco2_per_kwh.tolist() for each in some] for some in told] == [[[1]], [[2], [3]]]


def test_quantiles_come_back_and_holes_are_left_out(archive: Archive) -> None:
    nan = float("nan")
    some = Issued(Q, T0, steps(T0, 1, nan, 3), np.array([0.5, 1, nan]), None)
    archive.add("EIA", "DE", Fetched(issued=(some,)), T0)
    found = archive.issue("EIA", "DE", Q, T0)
    assert found is not None
    assert found.steps.gco2_per_kwh.tolist() == [1, 3]
    assert found.p10 is not None
    assert np.array_equal(found.p10, [0.5, nan], equal_nan=True)
    assert found.p90 is None


def test_the_version_changes_with_the_answers_and_only_then(archive: Archive) -> None:
    archive.add("EIA", "DE", seen(T0, 1), T0 + HOUR)
    before = archive.version("DE", T0 + 2 * HOUR)
    archive.add("EIA", "DE", seen(T0, 1), T0 + 2 * HOUR)
    archive.add("EIA", "FR", seen(T0, 1), T0 + 2 * HOUR)
    archive.remark(T0, "EIA", "DE", "something")
    assert archive.version("DE", T0 + 3 * HOUR) == before
    assert archive.version("DE", T0) != before
    archive.add("EIA", "DE", seen(T0, 2), T0 + 3 * HOUR)
    assert archive.version("DE", T0 + 3 * HOUR) != before


def test_a_reader_follows_a_writer(archive: Archive) -> None:
    with Archive(archive.path, read_only=True) as reader:
        assert known(reader, LATER) == []
        archive.add("EIA", "DE", seen(T0, 1), T0 + HOUR)
        assert known(reader, LATER) == [1]
        with pytest.raises(ForecastError, match="reading only"):
            reader.add("EIA", "DE", seen(T0, 2), LATER)


def test_readers_in_other_threads_see_whole_fetches_while_one_writes(archive: Archive) -> None:
    sizes: list[int] = []
    over = threading.Event()

    def read() -> None:
        while not over.is_set():
            sizes.append(len(known(archive, LATER)))

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for day in range(10):
        archive.add("EIA", "DE", seen(T0 + day * DAY, *range(48)), T0 + day * DAY)
    over.set()
    for reader in readers:
        reader.join()
    assert set(sizes) <= {0, *(24 * n for n in range(2, 12))}


def test_only_this_user_can_read_the_files(archive: Archive) -> None:
    archive.add("EIA", "DE", seen(T0, 1), LATER)
    files = list(archive.path.parent.iterdir())
    assert {file.stat().st_mode & 0o077 for file in files} == {0}
    assert archive.path.parent.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("damage", [b"not a database at all" * 999, None])
def test_a_damaged_file_is_moved_aside_and_said_so(archive: Archive, damage: bytes | None) -> None:
    for day in range(60):
        archive.add("EIA", "DE", seen(T0 + day * DAY, *range(day, day + 24)), T0 + day * DAY)
    archive.close()
    whole = archive.path.read_bytes()
    middle = whole[:4096] + b"\x55" * (len(whole) - 4096)
    archive.path.write_bytes(damage or middle)
    assert archive.add("EIA", "DE", seen(T0, 7), LATER) == 1
    assert known(archive, LATER) == [7]
    [kept] = [file for file in archive.path.parent.iterdir() if ".corrupt-" in file.name]
    assert kept.read_bytes() == (damage or middle)
    [remark] = archive.remarks(T0)
    assert kept.name in remark.text


def test_a_reader_of_a_damaged_file_finds_nothing_and_goes_on(archive: Archive) -> None:
    archive.add("EIA", "DE", seen(T0, 1), LATER)
    archive.close()
    archive.path.write_bytes(b"x" * 9999)
    with (
        Archive(archive.path, read_only=True) as reader,
        pytest.raises(ForecastError, match="damaged") as caught,
    ):
        known(reader, LATER)
    assert caught.value.transient
    assert known(archive, LATER) == []
    assert archive.remarks(T0)


def test_damaged_bytes_of_one_day_cost_that_day_only(archive: Archive) -> None:
    archive.add("EIA", "DE", seen(T0, *[1] * 48), LATER)
    archive.close()
    with sqlite3.connect(archive.path) as connection:
        connection.execute("UPDATE day SET steps = x'00' WHERE day = (SELECT min(day) FROM day)")
    connection.close()
    assert len(known(archive, LATER)) == 24
    assert archive.add("EIA", "DE", seen(T0, *[1] * 24), LATER) == 24
    assert len(known(archive, LATER)) == 48
    assert "was damaged" in archive.remarks(T0)[0].text


def test_a_file_that_was_replaced_is_opened_again(archive: Archive) -> None:
    archive.add("EIA", "DE", seen(T0, 1), LATER)
    before = archive.version("DE", LATER)
    for part in ("", "-wal", "-shm"):
        archive.path.with_name(archive.path.name + part).unlink(missing_ok=True)
    assert known(archive, LATER) == []
    assert archive.version("DE", LATER) != before
    assert archive.add("EIA", "DE", seen(T0, 2), LATER) == 1


def test_a_file_of_a_newer_tidewatt_is_left_alone(archive: Archive) -> None:
    archive.add("EIA", "DE", seen(T0, 1), LATER)
    archive.close()
    with sqlite3.connect(archive.path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(ForecastError, match="newer Tidewatt"):
        archive.quantities("DE")
    assert [file.name for file in archive.path.parent.iterdir() if "corrupt" in file.name] == []


def test_remarks_are_counted_and_told_in_order(archive: Archive) -> None:
    for hour in (0, 1):
        archive.remark(T0 + hour * HOUR, "EIA", "DE", "3 zeros", "x" * 9999)
    archive.remark(T0 + 3 * HOUR, "EIA", "FR", "late")
    told = archive.remarks(T0 + HOUR)
    assert [(each.zone, each.text[:7], each.times) for each in told] == [
        ("DE", "3 zeros", 2),
        ("DE", "xxxxxxx", 2),
        ("FR", "late", 1),
    ]
    assert (told[0].first, told[0].last) == (T0, T0 + HOUR)
    assert max(len(each.text) for each in told) <= 500
    assert archive.remarks(T0 + 4 * HOUR) == ()


def test_attempts_are_remembered_over_a_restart(archive: Archive) -> None:
    one = Attempt("EIA", "DE", "history", T0, Outcome.FAILED, T0 + HOUR, "503", 3, T0 - DAY, T0 - 9 * DAY)
    two = Attempt("EIA", "FR", "forecast", T0, Outcome.DENIED, T0 + DAY)
    other = Attempt("GB", "GB", "forecast", T0, Outcome.BROUGHT, T0 + HOUR)
    for attempt in (replace(one, failures=2), two, other, one):
        archive.attempted(attempt)
    archive.close()
    assert archive.attempts("EIA") == (one, two)
    assert archive.attempts("EIA", "FR") == (two,)
    assert archive.attempts() == (one, two, other)


def test_what_is_old_and_cited_by_nothing_is_let_go(archive: Archive) -> None:
    for day in range(10):
        archive.add("EIA", "DE", seen(T0 + day * DAY, *[day] * 24), LATER)
    cited = [Citation("DE", T0 + 2.5 * DAY, T0 + 2.6 * DAY), Citation("FR", T0, LATER)]
    assert archive.prune(T0 + 6 * DAY, cited) > 0
    left = sorted(set(known(archive, LATER)))
    assert {2.0, 6.0, 7.0, 8.0, 9.0} <= set(left)
    assert {0.0, 3.0, 4.0}.isdisjoint(left)


def test_an_issue_that_was_in_force_for_a_cited_time_is_kept(archive: Archive) -> None:
    for hour in range(0, 96, 6):
        archive.add("EIA", "DE", issued(T0 + hour * HOUR, hour), T0 + hour * HOUR)
    assert archive.prune(T0 + 72 * HOUR, [Citation("DE", T0 + 20 * HOUR, T0 + 31 * HOUR)]) > 0
    left = [each.issued_at for each in archive.issues("EIA", "DE", Q, T0, LATER, LATER)]
    assert left == [T0 + hour * HOUR for hour in (18, 24, 30, 72, 78, 84, 90)]


def test_of_older_issues_one_an_hour_is_kept_and_all_that_are_cited(archive: Archive) -> None:
    for quarter in range(16):
        at = T0 + quarter * HOUR / 4
        archive.add("EIA", "DE", issued(at, quarter), at)
    cited = [Citation("DE", T0 + 1.3 * HOUR, T0 + 1.6 * HOUR)]
    assert archive.prune(T0, cited, thin=T0 + 3 * HOUR) == 7
    left = [each.issued_at for each in archive.issues("EIA", "DE", Q, T0, LATER, LATER)]
    assert [(at - T0) / HOUR for at in left] == [0, 1, 1.25, 1.5, 2, 3, 3.25, 3.5, 3.75]


def test_pruning_gives_the_space_back(archive: Archive) -> None:
    chance = np.random.default_rng(0)
    for day in range(40):
        archive.add("EIA", "DE", issued(T0 + day * DAY, *chance.uniform(0, 900, 800)), T0 + day * DAY)
    before = archive.version("DE", LATER)
    archive.prune(LATER, [])
    assert archive.path.stat().st_size < 120_000
    assert archive.version("DE", LATER) != before


def test_a_year_of_a_zone_stays_small(archive: Archive) -> None:
    """Hourly values polled with a day of overlap, and 72 h ahead every hour: measured over ten days."""
    chance = np.random.default_rng(0)
    level = np.clip(300 + np.cumsum(chance.normal(0, 20, 24 * 20)), 20, 900)
    for hour in range(24 * 10):
        now = T0 + hour * HOUR
        ahead = np.round(level[hour : hour + 72] + chance.normal(0, 3, 72))
        fetched = replace(seen(now - DAY, *level[hour : hour + 24]), issued=issued(now, *ahead).issued)
        archive.add("EIA", "DE", fetched, now)
        if not hour:
            archive.prune(T0 - DAY, [])
            empty = archive.path.stat().st_size
    archive.prune(T0 - DAY, [])
    assert (archive.path.stat().st_size - empty) / 10 * 365 < 5_000_000
