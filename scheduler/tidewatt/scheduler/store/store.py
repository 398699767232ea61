"""The store: each move is appended once to the event table; the state derived from it is kept beside it."""

import json
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from tidewatt.scheduler.jobs import ENDED, AttemptState, JobState, SettlementState
from tidewatt.scheduler.proof.chain import Tip
from tidewatt.scheduler.store import database, schema
from tidewatt.scheduler.store.accounts import AccountRecord, accounts_since, not_over
from tidewatt.scheduler.store.chained import Chained
from tidewatt.scheduler.store.database import StoreError
from tidewatt.scheduler.store.decisions import DecisionRecord, decisions
from tidewatt.scheduler.store.joint import Joint
from tidewatt.scheduler.store.json_parts import part
from tidewatt.scheduler.store.known import OPEN, Counts, Known
from tidewatt.scheduler.store.lines import newest_in, newest_of_lines
from tidewatt.scheduler.store.records import AttemptRecord, JobRecord, kind_of, plan_of
from tidewatt.scheduler.store.transaction import Transaction
from tidewatt.scheduler.store.turns import TurnRecord, turns_since

FOREVER_MS = 253_402_300_799_000  # the end of the year 9999
_ASKED_AT_ONCE = 500  # values in one question: SQLite's limit is well above
_NUMBERED = (  # asked at each submit, so put together once
    sa.select(schema.job)
    .where(schema.job.c.id.in_(sa.bindparam("numbers", expanding=True)))
    .order_by(schema.job.c.id)
)


class Store(Chained):
    """Jobs, attempts and events in one database; writing is serialised, reading sees what is committed."""

    def __init__(self, where: Path | sa.URL) -> None:
        self._writing = threading.RLock()
        self._mine = threading.local()  # a thread's transactions that are stored as one
        self._database = database.opened(where)
        self._engine = self._database.engine
        self._known = Known(self._newest, self._open_jobs, self.numbered, self._counts)
        self._measured: tuple[int, dict[tuple[str, str], JobRecord | None]] = -1, {}

    @property
    def name(self) -> str:
        """Where it is, for people."""
        return self._database.name

    def alone(self) -> None:
        """Makes this process the only one that writes; raises StoreError where another daemon is it."""
        self._database.alone()
        self._known.alone()

    def close(self) -> None:
        """Closes every connection; the write-ahead log is folded in."""
        self._database.close()

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """One writing transaction: durable when the block ends, undone when it raises."""
        joint: Joint | None = getattr(self._mine, "joint", None)
        if joint is not None:
            with self._told(), joint.part() as transaction:
                yield transaction
            return
        with self._writing, self._told(), self._engine.connect() as connection:
            try:
                self._database.begin(connection)
                transaction = Transaction(connection, self._database)
                yield transaction
                transaction.finish()
            except BaseException:
                with suppress(sa.exc.SQLAlchemyError):  # after a full disk SQLite has done it already
                    connection.exec_driver_sql("ROLLBACK")
                raise
            with self._known.committing(transaction.changes):
                connection.exec_driver_sql("COMMIT")

    @contextmanager
    def together(self) -> Iterator[None]:
        """This thread's transactions within the block are stored as one, durable when it ends.

        One that raises is undone alone; where the block itself raises, or the store fails, all are. What is
        read meanwhile does not show them yet.
        """
        self._mine.joint = joint = Joint(self._writing, self._database, self._known)
        try:
            yield
        except BaseException:
            joint.undo()
            raise
        else:
            with self._told():
                joint.end()
        finally:
            self._mine.joint = None

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except database.FAILURES as error:
            raise StoreError(f"cannot write to the store {self.name}: {database.cause(error)}") from error

    def job(self, job_id: int) -> JobRecord | None:
        """The job of that number; None where there is none."""
        rows = self._rows(sa.select(schema.job).where(schema.job.c.id == job_id))
        return _job(rows[0]) if rows else None

    def jobs(
        self,
        states: Iterable[JobState] | None = None,
        *,
        before: int | None = None,
        limit: int | None = None,
        uid: int | None = None,
        user: str | None = None,
        project: str | None = None,
    ) -> list[JobRecord]:
        """Jobs in the given states (None: all), newest first where `limit` is given, else oldest first.

        With `uid`, `user` or `project`, those of that user or project only; "" is that of jobs without one.
        """
        if states is not None and before is None and limit is None:
            wanted = set(states)
            if wanted.issubset(OPEN):
                return self._remembered(wanted, uid, user, project)
            states = wanted
        table = schema.job
        where = _owned(user, project) + ([] if uid is None else [table.c.uid == uid])
        where += [] if before is None else [table.c.id < before]
        if states is not None and limit is not None:
            newest = newest_in(self._rows, [str(state) for state in states], where, limit)
            return sorted(self.numbered(newest).values(), key=lambda job: -job.id)
        where += [] if states is None else [table.c.state.in_([str(state) for state in states])]
        order = table.c.id if limit is None else table.c.id.desc()
        return [_job(row) for row in self._rows(sa.select(table).where(*where).order_by(order).limit(limit))]

    def ended(self, before: int | None, at_once: int) -> Iterator[list[JobRecord]]:
        """All jobs that have ended (with ids below `before`), newest first, read so many at a time."""
        while jobs := self.jobs(ENDED, before=before, limit=at_once):
            yield jobs
            before = jobs[-1].id

    def lines(
        self,
        states: Iterable[JobState] | None = None,
        *,
        before: int | None = None,
        limit: int = 100,
        uid: int | None = None,
        user: str | None = None,
        project: str | None = None,
    ) -> list[tuple[JobRecord, dict[str, int]]]:
        """Jobs in the given states, newest first; of an array its newest, and the number of all by state.

        With `uid`, `user` or `project`, those of that user or project only.
        """
        table = schema.job
        wanted = _owned(user, project) + ([] if uid is None else [table.c.uid == uid])
        wanted += [] if states is None else [table.c.state.in_([str(state) for state in states])]
        newest = newest_of_lines(self._rows, wanted, before, limit)
        found = self.numbered(newest)
        jobs = [found[number] for number in newest if number in found]
        counts = self.task_counts({job.array for job in jobs if job.array})
        return [(job, counts.get(job.array, {})) for job in jobs]

    def array(self, number: int) -> list[JobRecord]:
        """The tasks of an array, in the order of their numbers; none where there is no such array."""
        query = sa.select(schema.job).where(schema.job.c.array == number, schema.job.c.array > 0)
        return [_job(row) for row in self._rows(query.order_by(schema.job.c.array_task))]

    def task_counts(self, arrays: set[int]) -> dict[int, dict[str, int]]:
        """Number of tasks by state, of each array."""
        table = schema.job
        query = sa.select(table.c.array, table.c.state, sa.func.count().label("tasks"))
        rows = self._rows(query.where(table.c.array.in_(arrays)).group_by(table.c.array, table.c.state))
        counts: dict[int, dict[str, int]] = {number: {} for number in arrays}
        for row in rows:
            counts[row.array][row.state] = row.tasks
        return counts

    def task(self, array: int, number: int) -> JobRecord | None:
        """One task of an array; None where there is none."""
        where = schema.job.c.array == array, schema.job.c.array > 0, schema.job.c.array_task == number
        rows = self._rows(sa.select(schema.job).where(*where))
        return _job(rows[0]) if rows else None

    def numbered(self, job_ids: Iterable[int]) -> dict[int, JobRecord]:
        """The jobs of these numbers, by number, oldest first; those that do not exist are left out."""
        wanted = sorted(set(job_ids))
        found: dict[int, JobRecord] = {}
        for first in range(0, len(wanted), _ASKED_AT_ONCE):
            some = wanted[first : first + _ASKED_AT_ONCE]
            rows = self._rows(_NUMBERED, {"numbers": some})
            found |= {row.id: _job(row) for row in rows}
        return found

    def not_ended(self, job_ids: Iterable[int]) -> set[int]:
        """Which of these jobs have not ended."""
        found = self.numbered(job_ids)
        return {number for number, job in found.items() if job.state not in ENDED}

    def accounts_since(self, since_ms: int, uid: int | None = None) -> list[AccountRecord]:
        """What reports need of jobs that ended at or after a time, oldest first; with `uid`, that user's."""
        return accounts_since(self._rows, since_ms, uid)

    def not_over(self, since_ms: int, uid: int | None = None) -> tuple[int, int]:
        """How many jobs ran at or after a time and have not ended for good; how many tries of theirs have."""
        return not_over(self._rows, since_ms, uid)

    def turns_since(self, since_ms: int) -> list[TurnRecord]:
        """Jobs submitted at or after a time, oldest first, as the replay of their queue needs them."""
        return turns_since(self._rows, since_ms)

    def cited(self, before_ms: int) -> set[tuple[str, int, int]]:
        """What accounts say of the grid: zone, submission and end of each job submitted before a time.

        A job that has not ended cites everything since its submission.
        """
        job, zones = schema.job.c, lru_cache(_ASKED_AT_ONCE)(_zones)
        home = part(job.frozen, "home_zones", sa.Text()).label("home")
        there = part(schema.attempt.c.factors, "zones", sa.Text()).label("there")
        query = sa.select(job.submitted_ms, job.ended_ms, home, there)
        query = query.join_from(schema.job, schema.attempt, isouter=True)
        return {
            (zone, row.submitted_ms, FOREVER_MS if row.ended_ms is None else row.ended_ms)
            for row in self._rows(query.where(job.submitted_ms < before_ms))
            for text in (row.home, row.there)
            for zone in zones(text)
        }

    def last_measured(self, user: str, name: str) -> JobRecord | None:
        """The newest ended job of that name and user that has an account; None where there is none.

        Looked for again only where a job has ended or was settled.
        """
        endings, known = self.endings(), self._measured
        if known[0] != endings or len(known[1]) > _ASKED_AT_ONCE:
            known = self._measured = endings, {}
        if (user, name) not in known[1]:
            job = schema.job.c
            where = job.user == user, job.name == name, job.state == str(JobState.DONE)
            query = sa.select(schema.job).where(*where, job.settlement.is_not(None))
            rows = self._rows(query.order_by(job.id.desc()).limit(1))
            known[1][user, name] = _job(rows[0]) if rows else None
        return known[1][user, name]

    def done_by(self, user: str, limit: int) -> dict[int, SettlementState]:
        """How far the accounts of a user's newest done jobs are, by number, at most `limit`."""
        where = schema.job.c.user == user, schema.job.c.state == str(JobState.DONE)
        query = sa.select(schema.job.c.id, schema.job.c.settlement_state).where(*where)
        rows = self._rows(query.order_by(schema.job.c.id.desc()).limit(limit))
        return {row.id: SettlementState(row.settlement_state) for row in rows}

    def gpu_hours(self, since_ms: int, until_ms: int) -> dict[tuple[str, str], float]:
        """GPU hours between two times of what runs or ran, here and elsewhere, by user and project."""
        attempt, job = schema.attempt, schema.job
        query = sa.select(job.c.user, job.c.project, job.c.gpus, attempt.c.started_ms, attempt.c.ended_ms)
        query = query.join_from(attempt, job).where(
            attempt.c.started_ms.is_not(None),
            attempt.c.started_ms < until_ms,
            sa.or_(attempt.c.ended_ms.is_(None), attempt.c.ended_ms > since_ms),
        )
        found: dict[tuple[str, str], float] = {}
        for row in self._rows(query):
            end_ms = until_ms if row.ended_ms is None else min(row.ended_ms, until_ms)
            hours = row.gpus * (end_ms - max(row.started_ms, since_ms)) / 3_600_000
            found[row.user, row.project] = found.get((row.user, row.project), 0.0) + hours
        return found

    def skip_numbers(self, up_to: int) -> None:
        """Gives no number up to this one to any later job."""
        with self.transaction() as transaction:
            transaction.skip_numbers(up_to)

    def open_accounts(self) -> dict[int, int]:
        """When each job ended whose account is not closed yet, by its number, oldest first."""
        open_states = [str(SettlementState.NONE), str(SettlementState.PROVISIONAL)]
        query = sa.select(schema.job.c.id, schema.job.c.ended_ms).where(
            schema.job.c.ended_ms.is_not(None), schema.job.c.settlement_state.in_(open_states)
        )
        return {row.id: row.ended_ms for row in self._rows(query.order_by(schema.job.c.id))}

    def count(self, uid: int | None = None) -> dict[str, int]:
        """Number of jobs by state; with `uid`, those of that user only."""
        found: dict[str, int] = {}
        for (owner, state), jobs in self._known.counts().items():
            if jobs and uid in (None, owner):
                found[state] = found.get(state, 0) + jobs
        return found

    def attempts(self, job_ids: Iterable[int]) -> dict[int, list[AttemptRecord]]:
        """Attempts of each of the jobs, oldest first."""
        wanted = list(job_ids)
        found: dict[int, list[AttemptRecord]] = {job_id: [] for job_id in wanted}
        query = sa.select(schema.attempt).where(schema.attempt.c.job_id.in_(wanted))
        for attempt in sorted((_attempt(row) for row in self._rows(query)), key=lambda each: each.number):
            found[attempt.job_id].append(attempt)
        return found

    def live_attempts(self) -> list[AttemptRecord]:
        """Attempts that occupy a region now."""
        over = AttemptState.ENDED, AttemptState.POISONED
        live = [str(state) for state in AttemptState if state not in over]  # by its index
        query = sa.select(schema.attempt).where(schema.attempt.c.state.in_(live))
        return [_attempt(row) for row in self._rows(query)]

    def events(self, job_id: int | None = None) -> list[dict[str, Any]]:
        """Events in the order in which they were appended, of one job or of all."""
        query = sa.select(schema.event).order_by(schema.event.c.seq)
        if job_id is not None:
            query = query.where(schema.event.c.job_id == job_id)
        return [dict(row._mapping) for row in self._rows(query)]

    def events_of(self, kind: str, since_ms: int = 0) -> list[dict[str, Any]]:
        """Events of one kind that happened at or after a time, in the order in which they were appended."""
        where = schema.event.c.kind == kind, schema.event.c.time_ms >= since_ms
        query = sa.select(schema.event).where(*where).order_by(schema.event.c.seq)
        return [dict(row._mapping) for row in self._rows(query)]

    def ended_untold(self) -> set[int]:
        """Jobs that were cancelled between two tries by a release that did not note when they ended."""
        ran = sa.select(schema.attempt.c.job_id).where(schema.attempt.c.started_ms.is_not(None))
        over = schema.job.c.ended_ms.is_(None), schema.job.c.state.in_([str(state) for state in ENDED])
        return {
            row.id for row in self._rows(sa.select(schema.job.c.id).where(*over, schema.job.c.id.in_(ran)))
        }

    def decisions(self) -> dict[str, DecisionRecord]:
        """What operators decided that holds, by name."""
        return decisions(self._rows)

    def newest(self) -> int:
        """The number of the last event that is there, 0 without any; takes no lock of writers."""
        return self._known.newest()

    def _newest(self) -> int:
        try:
            with self._engine.connect() as connection:  # asked all the time, so in plain SQL
                return int(connection.exec_driver_sql("select max(seq) from event").scalar() or 0)
        except sa.exc.DBAPIError as error:
            raise self._unreadable(error) from error

    def may_pause(self) -> bool:
        """Whether any job that runs or stands still may be paused, or is."""
        job = schema.job
        runs = job.c.state == str(JobState.RUNNING)
        may = sa.or_(job.c.pausing.is_not(None), job.c.paused != "")
        where = sa.or_(job.c.state == str(JobState.PAUSED), sa.and_(runs, may))
        return bool(self._rows(sa.select(job.c.id).where(where).limit(1)))

    def tip(self) -> Tip:
        """The last number ever given to an event, and the hash of the last one that is there."""
        with self.transaction() as transaction:
            return transaction.tip()

    def rows(self, query: sa.Select[Any], **values: Any) -> list[sa.Row[Any]]:
        """What a question about tables outside the ledger finds, with the values of its parameters."""
        return self._rows(query, values)

    def fold(self) -> None:
        """Folds SQLite's write-ahead log into the file and empties it, unless somebody reads just now."""
        with self._writing, self._told(), self._engine.connect() as connection:
            if connection.dialect.name == "sqlite":
                connection.exec_driver_sql("pragma wal_checkpoint(truncate)")

    def open_job(self, number: int) -> JobRecord | None:
        """The job of that number, which is remembered; None where it has ended, or there is none."""
        return self._known.open_job(number)

    def forget(self) -> None:
        """Reads jobs again that it remembers: rows were changed past the verbs of a transaction."""
        self._known.forget()

    def endings(self) -> int:
        """A number that changes whenever a job ended, or its account was written."""
        return self._known.endings()

    def _remembered(
        self, states: set[JobState], uid: int | None, user: str | None, project: str | None
    ) -> list[JobRecord]:
        return [
            job
            for job in self._known.open_jobs()
            if job.state in states
            and uid in (None, job.uid)
            and user in (None, job.user)
            and project in (None, job.project)
        ]

    def _open_jobs(self) -> list[JobRecord]:
        query = sa.select(schema.job).where(schema.job.c.state.in_([str(state) for state in OPEN]))
        return [_job(row) for row in self._rows(query.order_by(schema.job.c.id))]

    def _counts(self) -> Counts:
        by = schema.job.c.state, schema.job.c.uid  # in the order of their index
        rows = self._rows(sa.select(*by, sa.func.count().label("jobs")).group_by(*by))
        return {(row.uid, row.state): row.jobs for row in rows}

    def _rows(self, query: sa.Select[Any], values: Mapping[str, Any] | None = None) -> list[sa.Row[Any]]:
        try:
            with self._engine.connect() as connection:
                return list(connection.execute(query, values))
        except sa.exc.DBAPIError as error:
            raise self._unreadable(error) from error

    def _unreadable(self, error: sa.exc.DBAPIError) -> StoreError:
        return StoreError(f"cannot read the store {self.name}: {database.cause(error)}")


def _zones(by_signal: str | None) -> tuple[str, ...]:
    """Zones by signal, as they are stored."""
    return tuple(json.loads(by_signal).values()) if by_signal else ()


def _owned(user: str | None, project: str | None) -> list[sa.ColumnElement[bool]]:
    wanted: list[sa.ColumnElement[bool]] = [] if user is None else [schema.job.c.user == user]
    return wanted + ([] if project is None else [schema.job.c.project == project])


def _job(row: sa.Row[Any]) -> JobRecord:
    values = dict(row._mapping)
    for name in ("argv", "regions", "exclude_regions", "warnings", "after", "after_any"):
        values[name] = tuple(values[name])
    for name in ("late", "asked", "stopping", "snapshot", "keeps_env"):
        values[name] = bool(values[name])
    plan = values["plan"]
    return JobRecord(
        **values
        | {
            "state": JobState(values["state"]),
            "settlement_state": SettlementState(values["settlement_state"]),
            "kinds": tuple(kind_of(kind) for kind in values["kinds"]),
            "plan": None if plan is None else plan_of(plan),
        }
    )


def _attempt(row: sa.Row[Any]) -> AttemptRecord:
    values = dict(row._mapping)
    changed = {"state": AttemptState(values["state"]), "gpu_uuids": tuple(values["gpu_uuids"])}
    return AttemptRecord(**values | changed)
