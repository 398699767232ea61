"""The daemon packs readings of past days, and lets go those that no account needs."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.integration.scheduler.office import NOW, Office, office
from tidewatt.backends.clock import Clock, time_ms
from tidewatt.backends.meters.excerpt import excerpt
from tidewatt.backends.meters.journal import Header, Journal
from tidewatt.backends.meters.reading import Reading
from tidewatt.scheduler.daemon.shelving import shelve


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Office]:
    with office(tmp_path, readings_retention="30d") as opened:
        yield opened


def read_at(folder: Path, when: datetime) -> None:
    journal = Journal(folder)
    header = Header("b00t0000-0000", 2, 10_000, Clock(), ())
    journal.append(
        Reading(time_ms(when), 1000, "b00t0000-0000", "tick", {}, {}, {"host": 5}), header, durable=False
    )
    journal.close()


def names(place: Office) -> list[str]:
    return sorted(path.name for path in place.paths.readings.glob("*.jsonl*"))


def test_past_days_are_packed_and_read_as_before_while_today_stays_as_it_is(place: Office) -> None:
    for days in (0, 3):
        read_at(place.paths.readings, NOW - timedelta(days=days))
    shelve(place.site, place.store)
    assert names(place) == ["2026-03-07-b00t0000.jsonl.gz", "2026-03-10-b00t0000.jsonl"]
    at_ms = time_ms(NOW - timedelta(days=3))
    found = excerpt(place.paths.readings, at_ms - 1, at_ms + 1)
    assert found.cpu_ms["host"].tolist() == [5]


def test_days_beyond_the_retention_go_but_not_while_an_account_is_open(place: Office) -> None:
    read_at(place.paths.readings, NOW - timedelta(days=40))
    job = place.submit("true").job
    with place.store.transaction() as transaction:
        transaction.change_job(job.id, submitted_ms=time_ms(NOW - timedelta(days=35)))
    shelve(place.site, place.store)
    assert len(names(place)) == 1  # the job waits: its idle draw may be told by the week before
    place.changes.cancel(str(job.id))
    with place.store.transaction() as transaction:
        transaction.change_job(job.id, settlement_state="final")
    shelve(place.site, place.store)
    assert names(place) == []


def test_a_full_disk_stops_nothing(place: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_folder: Path, _before_ms: int) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tidewatt.scheduler.daemon.shelving.compact", full)
    read_at(place.paths.readings, datetime(2025, 1, 1, tzinfo=UTC))
    shelve(place.site, place.store)
    assert names(place) == []  # what was due to go is gone all the same
