"""Everything that was fetched, kept on the disk as it was known at each moment."""

import sqlite3
from collections.abc import Hashable, Iterable
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType

import numpy as np

from tidewatt.forecasting import logbook, retention, revisions
from tidewatt.forecasting.database import Database
from tidewatt.forecasting.feeds.feed import Fetched, Issued
from tidewatt.forecasting.intake import COLUMNS, TABLES, Intake
from tidewatt.forecasting.logbook import Attempt, Remark
from tidewatt.forecasting.packing import units, unpacked
from tidewatt.forecasting.retention import DAY_MS
from tidewatt.forecasting.retention import Citation as Citation
from tidewatt.forecasting.series import Steps, instant, milliseconds, touching

VERSION = 1
FIND = (
    "SELECT {} FROM issue JOIN content ON content.id = issue.content JOIN series ON series.id = issue.series"
)
NAMED = "source = ? AND zone = ? AND quantity = ?"


class Archive:
    """Observations with their revisions, and forecasts as issued, by source, zone and quantity.

    One file for one writer and several readers, in other threads and processes too. Numbers are kept as whole
    thousandths of their unit. A damaged file is moved aside, a remark says so, and a new one begun.

    Raises:
        ForecastError: from every call, where the file cannot be used; transient as for a full disk.
    """

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self.path = path
        self._database = Database(path, f"{TABLES};{logbook.TABLES}", VERSION, read_only=read_only)

    def __enter__(self) -> "Archive":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the file; the next call opens it again."""
        self._database.close()

    def add(self, source: str, zone: str, fetched: Fetched, received_at: datetime) -> int:
        """How many steps and issues were new or restated; all are on the disk then, or none."""
        received_ms = milliseconds(received_at)

        def change(connection: sqlite3.Connection) -> int:
            intake = Intake(connection, source, zone, received_ms)
            for observed in fetched.observed:
                intake.observed(observed.quantity, observed.steps)
            for issued in fetched.issued:
                intake.issued(issued)
            intake.finish()
            return intake.news

        news = self._database.write(change)
        self._own_up()
        return news

    def observations(
        self,
        source: str,
        zone: str,
        quantity: str,
        start: datetime,
        end: datetime,
        now: datetime,
        *,
        as_received: bool = True,
    ) -> Steps:
        """Steps that overlap `[start, end)`, had ended and been received by `now`, as they stood then.

        With `as_received` False, when they were received does not count: for a past that was fetched later.
        """
        start_ms, end_ms, now_ms = milliseconds(start), milliseconds(end), milliseconds(now)

        def question(connection: sqlite3.Connection) -> list[tuple[bytes]]:
            return connection.execute(
                f"SELECT steps FROM day JOIN series ON series.id = day.series WHERE {NAMED}"  # noqa: S608
                f" AND day BETWEEN (? - longest_ms) / {DAY_MS} - 1 AND ? ORDER BY day",
                (source, zone, quantity, start_ms, end_ms // DAY_MS),
            ).fetchall()

        days = (revisions.read(row[0]) for row in self._database.read(question))
        known = revisions.joined([day for day in days if day is not None]).known(
            now_ms, now_ms if as_received else None
        )
        part = touching(known, start_ms, end_ms)
        return Steps(known.start_ms[part], known.end_ms[part], known.gco2_per_kwh[part])

    def issue(
        self, source: str, zone: str, quantity: str, now: datetime, *, as_received: bool = True
    ) -> Issued | None:
        """The newest forecast that was issued and received by `now`; None where there is none."""
        now_ms = milliseconds(now)
        found = self._issues(
            f"WHERE {NAMED} AND issued_ms <= ? AND (received_ms <= ? OR NOT ?)"
            " ORDER BY issued_ms DESC, received_ms DESC LIMIT 1",
            (source, zone, quantity, now_ms, now_ms, as_received),
        )
        return found[0] if found else None

    def issues(
        self,
        source: str,
        zone: str,
        quantity: str,
        start: datetime,
        end: datetime,
        now: datetime,
        *,
        as_received: bool = True,
        every: timedelta | None = None,
    ) -> list[Issued]:
        """Forecasts issued in `[start, end)` and by `now`, in order; restated ones as known then.

        With `every` of each such stretch of time (counted from 1970) only the last is read.
        """
        now_ms, every_ms = milliseconds(now), max(1, (every or timedelta()) // timedelta(milliseconds=1))
        return self._issues(
            f"WHERE {NAMED} AND issued_ms >= ? AND issued_ms < ? AND issued_ms <= ?"
            " AND (received_ms <= ? OR NOT ?) ORDER BY issued_ms, received_ms",
            (source, zone, quantity, milliseconds(start), milliseconds(end), now_ms, now_ms, as_received),
            every_ms,
        )

    def quantities(self, zone: str) -> tuple[tuple[str, str], ...]:
        """What it holds of a zone: source and quantity."""
        rows = self._database.read(
            lambda connection: connection.execute(
                "SELECT source, quantity FROM series WHERE zone = ? ORDER BY id", (zone,)
            ).fetchall()
        )
        return tuple(rows)

    def version(self, zone: str, now: datetime) -> Hashable:
        """Equal to an earlier value where every answer for `zone` is the same as then; cheap."""
        now_ms = milliseconds(now)
        row = self._database.read(
            lambda connection: connection.execute(
                "SELECT number, latest_ms FROM edition WHERE zone = ?", (zone,)
            ).fetchone()
        )
        number, latest_ms = row or (0, 0)
        return self._database.identity(), number, None if now_ms >= latest_ms else now_ms

    def remark(self, at: datetime, source: str, zone: str, *texts: str) -> None:
        """Writes down what was refused, repaired or lost."""
        if texts:
            self._database.write(lambda connection: logbook.add_remarks(connection, at, source, zone, texts))

    def remarks(self, since: datetime) -> tuple[Remark, ...]:
        """What was refused, repaired or lost since then, in order."""
        self._own_up()
        return self._database.read(lambda connection: logbook.remarks(connection, since))

    def attempted(self, attempt: Attempt) -> None:
        """Writes down how a fetch ended and when the next one is due."""
        self._database.write(lambda connection: logbook.write_attempt(connection, attempt))

    def attempts(self, source: str | None = None, zone: str | None = None) -> tuple[Attempt, ...]:
        """How the last fetch of each thing ended, of one source and zone or of all."""
        return self._database.read(lambda connection: logbook.attempts(connection, source, zone))

    def prune(self, before: datetime, cited: Iterable[Citation], *, thin: datetime | None = None) -> int:
        """How many days and issues were deleted: what had ended before `before` and nothing cites.

        With `thin`, of uncited issues from before that time only the first of each hour is kept.
        """
        citations = list(cited)  # a change may be made twice
        deleted = self._database.write(
            lambda connection: retention.prune(connection, before, citations, thin)
        )
        for statement in ("PRAGMA incremental_vacuum", "PRAGMA wal_checkpoint(TRUNCATE)"):
            self._database.outside(statement)
        return deleted

    def _issues(self, where: str, values: tuple[object, ...], every_ms: int = 1) -> list[Issued]:
        """What is found, unpacked; of what was issued in the same stretch only the last."""
        rows = self._database.read(
            lambda connection: connection.execute(
                f"{FIND.format('quantity, issued_ms, steps')} {where}", values
            ).fetchall()
        )
        found = (_issued(*row) for row in {row[1] // every_ms: row for row in rows}.values())
        return [issued for issued in found if issued is not None]

    def _own_up(self) -> None:
        """Remarks that damaged files were moved aside."""
        while self._database.set_aside:
            moved, at = self._database.set_aside.pop()
            self.remark(at, "archive", "", f"{self.path.name} was damaged: it is kept as {moved.name}")


def _issued(quantity: str, issued_ms: int, content: bytes) -> Issued | None:
    """A forecast again; None where its bytes are damaged."""
    columns = unpacked(content, COLUMNS)
    if columns is None:
        return None
    start_ms, length_ms, *values = columns
    mean, p10, p90 = (units(column) for column in values)
    return Issued(
        quantity,
        instant(issued_ms),
        Steps(start_ms, start_ms + length_ms, mean),
        None if np.isnan(p10).all() else p10,
        None if np.isnan(p90).all() else p90,
    )
