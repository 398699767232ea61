"""One fetch on its way into the archive's tables: what is new in it, and what it says differently."""

import sqlite3
from hashlib import blake2b

import numpy as np

from tidewatt.forecasting import logbook, revisions
from tidewatt.forecasting.feeds.feed import Issued
from tidewatt.forecasting.packing import packed, thousandths
from tidewatt.forecasting.retention import DAY_MS
from tidewatt.forecasting.series import Steps, instant, milliseconds, stepped

COLUMNS = 5  # of an issue: start, length, mean, p10, p90
TABLES = """
CREATE TABLE IF NOT EXISTS series (
    id INTEGER PRIMARY KEY, source TEXT NOT NULL, zone TEXT NOT NULL, quantity TEXT NOT NULL,
    longest_ms INTEGER NOT NULL DEFAULT 0, UNIQUE (zone, source, quantity)) STRICT;
CREATE TABLE IF NOT EXISTS day (
    series INTEGER NOT NULL, day INTEGER NOT NULL, steps BLOB NOT NULL,
    PRIMARY KEY (series, day)) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS issue (
    series INTEGER NOT NULL, issued_ms INTEGER NOT NULL, received_ms INTEGER NOT NULL,
    end_ms INTEGER NOT NULL, content INTEGER NOT NULL,
    PRIMARY KEY (series, issued_ms, received_ms)) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS issue_content ON issue (content);
CREATE TABLE IF NOT EXISTS content (
    id INTEGER PRIMARY KEY, digest BLOB NOT NULL UNIQUE, steps BLOB NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS edition (
    zone TEXT PRIMARY KEY, number INTEGER NOT NULL, latest_ms INTEGER NOT NULL) STRICT, WITHOUT ROWID
"""


class Intake:
    """One fetch on its way into the tables; `news` counts what was new or restated."""

    def __init__(self, connection: sqlite3.Connection, source: str, zone: str, received_ms: int) -> None:
        self.news = 0
        self._connection = connection
        self._source, self._zone = source, zone
        self._received_ms = self._latest_ms = received_ms

    def observed(self, quantity: str, steps: Steps) -> None:
        """Takes observed steps in; those without a value are holes."""
        steps = _kept(steps)
        if not len(steps.start_ms):
            return
        series = self._series(quantity, int((steps.end_ms - steps.start_ms).max()))
        days = steps.start_ms // DAY_MS
        for day in np.unique(days).tolist():
            mine = days == day
            part = Steps(steps.start_ms[mine], steps.end_ms[mine], steps.gco2_per_kwh[mine])
            self._day(series, day, part)
        self._latest_ms = max(self._latest_ms, int(steps.end_ms[-1]))

    def issued(self, issued: Issued) -> None:
        """Takes a forecast in; the same one again is nothing new."""
        steps = issued.steps
        known = ~np.isnan(steps.gco2_per_kwh)
        if not known.any():
            return
        stepped(steps.start_ms, steps.end_ms, steps.gco2_per_kwh)
        nothing = np.full(len(known), np.nan)
        quantiles = (nothing if quantile is None else quantile for quantile in (issued.p10, issued.p90))
        values = [thousandths(column)[known] for column in (steps.gco2_per_kwh, *quantiles)]
        start_ms, end_ms = steps.start_ms[known], steps.end_ms[known]
        content = self._content(packed(start_ms, end_ms - start_ms, *values))
        series, issued_ms = self._series(issued.quantity, 0), milliseconds(issued.issued_at)
        last = self._connection.execute(
            "SELECT content FROM issue WHERE series = ? AND issued_ms = ? AND received_ms <= ?"
            " ORDER BY received_ms DESC LIMIT 1",
            (series, issued_ms, self._received_ms),
        ).fetchone()
        if last == (content,):
            return
        self._connection.execute(
            "INSERT OR REPLACE INTO issue VALUES (?, ?, ?, ?, ?)",
            (series, issued_ms, self._received_ms, int(end_ms[-1]), content),
        )
        self._latest_ms = max(self._latest_ms, issued_ms)
        self.news += 1

    def finish(self) -> None:
        """Tells readers that answers have changed."""
        if self.news:
            self._connection.execute(
                "INSERT INTO edition VALUES (?, 1, ?) ON CONFLICT DO UPDATE"
                " SET number = number + 1, latest_ms = max(latest_ms, excluded.latest_ms)",
                (self._zone, self._latest_ms),
            )

    def _day(self, series: int, day: int, steps: Steps) -> None:
        row = self._connection.execute(
            "SELECT steps FROM day WHERE series = ? AND day = ?", (series, day)
        ).fetchone()
        before = revisions.none() if row is None else revisions.read(row[0])
        if before is None:
            text = f"the day of {instant(day * DAY_MS):%Y-%m-%d} was damaged: what was kept of it is lost"
            logbook.add_remarks(
                self._connection, instant(self._received_ms), self._source, self._zone, [text]
            )
            before = revisions.none()
        news = before.news(steps, self._received_ms)
        if not len(news.start_ms):
            return
        self._connection.execute(
            "INSERT OR REPLACE INTO day VALUES (?, ?, ?)",
            (series, day, revisions.joined([before, news]).packed()),
        )
        self.news += len(news.start_ms)

    def _content(self, steps: bytes) -> int:
        """The number of these bytes, which are kept once however often they are issued."""
        digest = blake2b(steps, digest_size=16).digest()
        self._connection.execute(
            "INSERT OR IGNORE INTO content (digest, steps) VALUES (?, ?)", (digest, steps)
        )
        found = self._connection.execute("SELECT id FROM content WHERE digest = ?", (digest,)).fetchone()
        return int(found[0])

    def _series(self, quantity: str, longest_ms: int) -> int:
        row = self._connection.execute(
            "INSERT INTO series (source, zone, quantity, longest_ms) VALUES (?, ?, ?, ?)"
            " ON CONFLICT DO UPDATE SET longest_ms = max(longest_ms, excluded.longest_ms) RETURNING id",
            (self._source, self._zone, quantity, longest_ms),
        ).fetchone()
        return int(row[0])


def _kept(steps: Steps) -> Steps:
    """The steps that have a value, checked."""
    steps = stepped(steps.start_ms, steps.end_ms, steps.gco2_per_kwh)
    known = ~np.isnan(steps.gco2_per_kwh)
    return Steps(steps.start_ms[known], steps.end_ms[known], steps.gco2_per_kwh[known])
