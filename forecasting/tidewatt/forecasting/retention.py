"""What an archive may forget: what is old and what nothing cites."""

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from tidewatt.forecasting.series import Milliseconds, milliseconds

DAY_MS = 86_400_000
HOUR_MS = 3_600_000
FOREVER_MS = 2**62


@dataclass(frozen=True, slots=True)
class Citation:
    """A time of a zone whose data a receipt, or a plan that still counts, stands on."""

    zone: str
    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class Spans:
    """Times that are cited, in ascending order and disjoint."""

    start_ms: Milliseconds
    end_ms: Milliseconds

    def touched(self, start_ms: Milliseconds, end_ms: Milliseconds) -> NDArray[np.bool_]:
        """For each `[start_ms, end_ms)` whether it overlaps any of them."""
        ended = np.searchsorted(self.end_ms, start_ms, side="right")
        begun = np.searchsorted(self.start_ms, end_ms, side="left")
        return np.asarray(begun > ended, bool)


def prune(
    connection: sqlite3.Connection, before: datetime, cited: Iterable[Citation], thin: datetime | None = None
) -> int:
    """How many days and issues were deleted: those that had ended before `before` and that nothing cites.

    An issue is cited while it is in force: from when it was issued until the next one was. Of uncited issues
    from before `thin` the first of each hour is kept.
    """
    before_ms = milliseconds(before)
    thin_ms = before_ms if thin is None else milliseconds(thin)
    citations = list(cited)
    deleted = 0
    for series, zone, longest_ms in connection.execute("SELECT id, zone, longest_ms FROM series").fetchall():
        spans = _spans(citation for citation in citations if citation.zone == zone)
        gone = _days(connection, series, longest_ms, before_ms, spans)
        gone += _issues(connection, series, before_ms, thin_ms, spans)
        if gone:
            connection.execute("UPDATE edition SET number = number + 1 WHERE zone = ?", (zone,))
        deleted += gone
    connection.execute("DELETE FROM content WHERE id NOT IN (SELECT content FROM issue)")
    connection.execute("DELETE FROM remark WHERE last_ms < ?", (before_ms,))
    return deleted


def _days(connection: sqlite3.Connection, series: int, longest_ms: int, before_ms: int, spans: Spans) -> int:
    rows = connection.execute("SELECT day FROM day WHERE series = ?", (series,)).fetchall()
    day = np.array([row[0] for row in rows], np.int64)
    start_ms, end_ms = day * DAY_MS, (day + 1) * DAY_MS + longest_ms
    old = day[(end_ms <= before_ms) & ~spans.touched(start_ms, end_ms)].tolist()
    connection.executemany("DELETE FROM day WHERE series = ? AND day = ?", [(series, each) for each in old])
    return len(old)


def _issues(connection: sqlite3.Connection, series: int, before_ms: int, thin_ms: int, spans: Spans) -> int:
    rows = connection.execute(
        "SELECT issued_ms, max(end_ms) FROM issue WHERE series = ? GROUP BY issued_ms ORDER BY issued_ms",
        (series,),
    ).fetchall()
    issued_ms, end_ms = np.array(rows, np.int64).reshape(-1, 2).T
    until_ms = np.append(issued_ms[1:], FOREVER_MS)[: len(issued_ms)]
    hour = issued_ms // HOUR_MS
    more = np.append(False, hour[1:] == hour[:-1])[: len(hour)] & (issued_ms < thin_ms)
    old = issued_ms[((end_ms <= before_ms) | more) & ~spans.touched(issued_ms, until_ms)].tolist()
    gone = connection.executemany(
        "DELETE FROM issue WHERE series = ? AND issued_ms = ?", [(series, each) for each in old]
    )
    return max(0, gone.rowcount) if old else 0


def _spans(citations: Iterable[Citation]) -> Spans:
    """The cited times, those that overlap joined."""
    joined: list[list[int]] = []
    for start_ms, end_ms in sorted((milliseconds(c.start), milliseconds(c.end)) for c in citations):
        if joined and start_ms <= joined[-1][1]:
            joined[-1][1] = max(joined[-1][1], end_ms)
        else:
            joined.append([start_ms, end_ms])
    edges = np.array(joined, np.int64).reshape(-1, 2)
    return Spans(edges[:, 0], edges[:, 1])
