"""What is said about fetches: how each thing's last one ended, and what was refused or repaired."""

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from tidewatt.forecasting.series import instant, milliseconds

LONGEST_TEXT = 500
TABLES = """
CREATE TABLE IF NOT EXISTS remark (
    source TEXT NOT NULL, zone TEXT NOT NULL, text TEXT NOT NULL, first_ms INTEGER NOT NULL,
    last_ms INTEGER NOT NULL, times INTEGER NOT NULL, PRIMARY KEY (source, zone, text)) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS attempt (
    source TEXT NOT NULL, zone TEXT NOT NULL, what TEXT NOT NULL, at_ms INTEGER NOT NULL,
    outcome TEXT NOT NULL, next_ms INTEGER NOT NULL, text TEXT NOT NULL, failures INTEGER NOT NULL,
    good_ms INTEGER, reached_ms INTEGER,
    PRIMARY KEY (source, zone, what)) STRICT, WITHOUT ROWID
"""


class Outcome(StrEnum):
    """How a fetch ended."""

    BROUGHT = "brought"  # something that could be used
    NOTHING = "nothing"  # the service has nothing new
    FAILED = "failed"  # no reply, or none that could be used
    DENIED = "denied"  # the key may not have this


@dataclass(frozen=True, slots=True)
class Attempt:
    """The last fetch of one thing, so that a restart neither asks too early nor forgets a pause."""

    source: str
    zone: str
    what: str  # "forecast", "observations", "history"
    at: datetime
    outcome: Outcome
    next_due: datetime
    text: str = ""  # why it failed
    failures: int = 0  # in a row
    good_at: datetime | None = None  # when it last did not fail
    reached: datetime | None = None  # how far observations, or the first fill backwards, have come


@dataclass(frozen=True, slots=True)
class Remark:
    """Something that was refused, repaired or lost, `times` between `first` and `last`."""

    source: str
    zone: str
    text: str
    first: datetime
    last: datetime
    times: int


def add_remarks(
    connection: sqlite3.Connection, at: datetime, source: str, zone: str, texts: Iterable[str]
) -> None:
    """Writes remarks; one that is there already is counted."""
    at_ms = milliseconds(at)
    connection.executemany(
        "INSERT INTO remark VALUES (?, ?, ?, ?, ?, 1) ON CONFLICT DO UPDATE"
        " SET times = times + 1, last_ms = max(last_ms, excluded.last_ms)",
        [(source, zone, text[:LONGEST_TEXT], at_ms, at_ms) for text in texts],
    )


def remarks(connection: sqlite3.Connection, since: datetime) -> tuple[Remark, ...]:
    """Remarks made at or after `since`, in order."""
    rows = connection.execute(
        "SELECT source, zone, text, first_ms, last_ms, times FROM remark WHERE last_ms >= ?"
        " ORDER BY last_ms, source, zone, text",
        (milliseconds(since),),
    )
    return tuple(
        Remark(source, zone, text, instant(first_ms), instant(last_ms), times)
        for source, zone, text, first_ms, last_ms, times in rows
    )


def write_attempt(connection: sqlite3.Connection, attempt: Attempt) -> None:
    """Writes how the last fetch of one thing ended, over the one before.

    Where that is another outcome than before, readers of the zone are told that answers have changed.
    """
    before = connection.execute(
        "SELECT outcome, text FROM attempt WHERE source = ? AND zone = ? AND what = ?",
        (attempt.source, attempt.zone, attempt.what),
    ).fetchone()
    if before != (str(attempt.outcome), attempt.text[:LONGEST_TEXT]):
        connection.execute(
            "INSERT INTO edition VALUES (?, 1, 0) ON CONFLICT DO UPDATE SET number = number + 1",
            (attempt.zone,),
        )
    connection.execute(
        "INSERT OR REPLACE INTO attempt VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            attempt.source,
            attempt.zone,
            attempt.what,
            milliseconds(attempt.at),
            str(attempt.outcome),
            milliseconds(attempt.next_due),
            attempt.text[:LONGEST_TEXT],
            attempt.failures,
            _milliseconds(attempt.good_at),
            _milliseconds(attempt.reached),
        ),
    )


def attempts(
    connection: sqlite3.Connection, source: str | None = None, zone: str | None = None
) -> tuple[Attempt, ...]:
    """The last fetch of each thing, of one source and zone or of all."""
    cursor = connection.cursor()
    cursor.row_factory = sqlite3.Row
    cursor.execute(
        "SELECT * FROM attempt WHERE (?1 IS NULL OR source = ?1) AND (?2 IS NULL OR zone = ?2)"
        " ORDER BY source, zone, what",
        (source, zone),
    )
    return tuple(
        Attempt(
            row["source"],
            row["zone"],
            row["what"],
            instant(row["at_ms"]),
            Outcome(row["outcome"]),
            instant(row["next_ms"]),
            row["text"],
            row["failures"],
            _instant(row["good_ms"]),
            _instant(row["reached_ms"]),
        )
        for row in cursor
    )


def _milliseconds(moment: datetime | None) -> int | None:
    return None if moment is None else milliseconds(moment)


def _instant(time_ms: int | None) -> datetime | None:
    return None if time_ms is None else instant(time_ms)
