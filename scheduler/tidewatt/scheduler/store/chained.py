"""What is read of the chain of events."""

from collections.abc import Iterable, Iterator
from typing import Any, Protocol

import sqlalchemy as sa

from tidewatt.scheduler.jobs import SettlementState
from tidewatt.scheduler.proof.chain import START
from tidewatt.scheduler.store import schema

ASKED_AT_ONCE = 500  # values in one question: SQLite's limit is well above
_KINDS = [f"settlement.{state}" for state in SettlementState]
_ACCOUNTS = schema.event.c.kind.in_(_KINDS)
_KIND = schema.event.c.kind + ""  # not by its index: those after a number are few, those of a kind are many


class Chained(Protocol):
    """Events by their numbers, as a store keeps them."""

    def _rows(self, query: sa.Select[Any]) -> list[sa.Row[Any]]: ...

    def chain(
        self, after_seq: int, up_to: int | None = None, limit: int | None = None
    ) -> list[dict[str, Any]]:
        """Events after a number and up to another, in order, at most `limit`."""
        where = [schema.event.c.seq > after_seq]
        where += [] if up_to is None else [schema.event.c.seq <= up_to]
        query = sa.select(schema.event).where(*where).order_by(schema.event.c.seq).limit(limit)
        return [dict(row._mapping) for row in self._rows(query)]

    def stretch(self, after_seq: int, up_to: int, at_once: int = 5000) -> Iterator[dict[str, Any]]:
        """The same, read in parts: of a long ledger not everything is in memory at once."""
        while events := self.chain(after_seq, up_to, at_once):
            yield from events
            after_seq = events[-1]["seq"]

    def newest_accounts(self, up_to: int) -> dict[int, int]:
        """The number of each job's newest event with its account, up to a number."""
        newest = sa.select(schema.event.c.job_id, sa.func.max(schema.event.c.seq).label("seq"))
        rows = self._rows(
            newest.where(_ACCOUNTS, schema.event.c.seq <= up_to).group_by(schema.event.c.job_id)
        )
        return {row.job_id: row.seq for row in rows}

    def newest_of(self, job_ids: Iterable[int], kinds: Iterable[str]) -> dict[int, int]:
        """The number of each of these jobs' newest event of some kinds; jobs without any are left out."""
        of_kind = schema.event.c.kind.in_(list(kinds))
        newest = sa.select(schema.event.c.job_id, sa.func.max(schema.event.c.seq).label("seq"))
        wanted = sorted(set(job_ids))
        found: dict[int, int] = {}
        for first in range(0, len(wanted), ASKED_AT_ONCE):
            some = schema.event.c.job_id.in_(wanted[first : first + ASKED_AT_ONCE])
            rows = self._rows(newest.where(some, of_kind).group_by(schema.event.c.job_id))
            found |= {row.job_id: row.seq for row in rows}
        return found

    def first_event(self, job_ids: Iterable[int]) -> int:
        """The number of the first event of any of these jobs; 1 where they have none."""
        wanted = sorted(set(job_ids))
        found = []
        for first in range(0, len(wanted), ASKED_AT_ONCE):
            some = schema.event.c.job_id.in_(wanted[first : first + ASKED_AT_ONCE])
            found += self._rows(sa.select(sa.func.min(schema.event.c.seq).label("seq")).where(some))
        return min((row.seq for row in found if row.seq is not None), default=1)

    def last_before(self, time_ms: int) -> int:
        """The number of the newest submission up to a time; 1 where there is none."""
        where = schema.event.c.kind == "submitted", schema.event.c.time_ms <= time_ms
        rows = self._rows(sa.select(sa.func.max(schema.event.c.seq).label("seq")).where(*where))
        return next((row.seq for row in rows if row.seq is not None), 1)

    def settled_after(self, seq: int) -> bool:
        """True where an account was written after an event."""
        newer = sa.select(schema.event.c.seq).where(schema.event.c.seq > seq, _KIND.in_(_KINDS))
        return bool(self._rows(newer.limit(1)))

    def matters_after(self, seq: int) -> bool:
        """True where a job was submitted or an account written after an event."""
        kinds = _KIND.in_([*_KINDS, "submitted"])
        return bool(self._rows(sa.select(schema.event.c.seq).where(schema.event.c.seq > seq, kinds).limit(1)))

    def hash_of(self, seq: int) -> str:
        """The hash of an event as it is stored, of an empty chain for 0; "" where there is no such event."""
        if not seq:
            return START
        rows = self._rows(sa.select(schema.event.c.hash).where(schema.event.c.seq == seq))
        return rows[0].hash if rows else ""
