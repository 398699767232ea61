"""Fills a store with many jobs that have ended, as quickly as the database takes them, its chain intact.

Each has one attempt, an account by one signal of two metered components without the cells of its energy, and
two events (`submitted`, `settlement.final`); a daemon writes eight. All are checked like any other.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import fields
from datetime import UTC, datetime
from functools import cache
from typing import Any

import sqlalchemy as sa

from tidewatt.backends.clock import time_ms
from tidewatt.backends.meters.reading import How
from tidewatt.scheduler.accounting.frozen import Frozen
from tidewatt.scheduler.accounting.levers import Exposure, Levers
from tidewatt.scheduler.accounting.receipt import Component, Ledger, Settlement
from tidewatt.scheduler.jobs import AttemptState, JobState, SettlementState
from tidewatt.scheduler.proof.canonical import digest
from tidewatt.scheduler.proof.chain import Tip, label, link
from tidewatt.scheduler.store import Store, schema
from tidewatt.scheduler.store.records import AttemptRecord, JobRecord
from tidewatt.scheduler.store.schema import Json, canonical

AT_ONCE = 5_000
KINDS = 7  # of accounts
USERS, PROJECTS = 30, 40
EVERY_MS = 20_000  # between two submissions
RAN_MS = 3_600_000
Row = dict[str, Any]


def fill(store: Store, count: int, until: datetime) -> None:
    """Adds so many jobs, the last of which ended before `until`."""
    first_ms = time_ms(until) - RAN_MS - EVERY_MS * count
    for begin in range(0, count, AT_ONCE):
        some = range(begin, min(begin + AT_ONCE, count))
        with store.transaction() as transaction:
            tip = transaction.tip()
            number = 1 + (transaction.execute(sa.select(sa.func.max(schema.job.c.id))).scalar() or 0)
            jobs, attempts, events = [], [], []
            for place in some:
                ended_ms = first_ms + EVERY_MS * place + RAN_MS
                jobs.append(_job(number, ended_ms))
                attempts.append(_attempt(number, ended_ms))
                for event in _events(number, ended_ms):
                    tip = _chained(event, tip)
                    events.append(event)
                number += 1
            connection = transaction._connection  # past the verbs of the daemon, which tell of each change
            for table, rows in ((schema.job, jobs), (schema.attempt, attempts), (schema.event, events)):
                _add(connection, table, rows)
            transaction._database.numbered(connection, tip.seq)
            transaction._database.skip_numbers(connection, "job", number - 1)


def _add(connection: sa.Connection, table: sa.Table, rows: Sequence[Row]) -> None:
    columns = [column.name for column in table.columns if column.name in rows[0]]
    values = [[row[name] for name in columns] for row in rows]
    names = ", ".join(f'"{name}"' for name in columns)
    driver = connection.connection.driver_connection
    assert driver is not None
    if connection.dialect.name == "sqlite":
        marks = ", ".join("?" * len(columns))
        driver.executemany(f"insert into {table.name} ({names}) values ({marks})", values)
        return
    with driver.cursor() as cursor, cursor.copy(f"copy {table.name} ({names}) from stdin") as copy:
        for each in values:
            copy.write_row(each)


def _job(number: int, ended_ms: int) -> Row:
    return {
        **_template(number % KINDS),
        "id": number,
        "user": f"user {number % USERS}",
        "project": f"project {number % PROJECTS}",
        "since_ms": ended_ms,
        "submitted_ms": ended_ms - RAN_MS,
        "ended_ms": ended_ms,
        "uid": 20_000 + number % USERS,
    }


def _attempt(number: int, ended_ms: int) -> Row:
    return {
        **_tried(),
        "id": f"{number}.1",
        "job_id": number,
        "since_ms": ended_ms,
        "launched_ms": ended_ms - RAN_MS,
        "started_ms": ended_ms - RAN_MS,
        "ended_ms": ended_ms,
    }


def _events(number: int, ended_ms: int) -> Iterator[Row]:
    kinds = ("submitted", ended_ms - RAN_MS), ("settlement.final", ended_ms)
    for (kind, at_ms), (text, body) in zip(kinds, _told(number % KINDS), strict=True):
        yield {"time_ms": at_ms, "kind": kind, "job_id": number, "attempt_id": "", "reason": "",
               "payload": text, "body": body}  # fmt: skip


def _chained(event: Row, tip: Tip) -> Tip:
    """Numbers the event and gives it its hash; its `body` was digested once for all events that say it."""
    event["seq"] = tip.seq + 1
    names = ("seq", "time_ms", "kind", "job_id", "attempt_id")
    sealed = digest({name: event[name] for name in names} | {"body": event.pop("body")})
    event["hash"] = link(tip.hash, sealed)
    return Tip(tip.seq + 1, event["hash"])


@cache
def _told(kind: int) -> tuple[tuple[str, str], tuple[str, str]]:
    """The payloads of a job's two events as they are stored, and the digests of their content."""
    frozen = {"argv": ["python", "train.py"], "name": "train", "frozen": _frozen()}
    return _sealed(frozen), _sealed(_account(kind))


def _sealed(payload: Row) -> tuple[str, str]:
    event = {"seq": 0, "time_ms": 0, "kind": "", "job_id": 0, "attempt_id": "", "reason": ""}
    body = label({**event, "payload": payload})["body"]
    return canonical(payload), str(body)


@cache
def _template(kind: int) -> Row:
    """The columns that all such jobs share, as they are stored."""
    record = JobRecord(
        id=0, state=JobState.DONE, since_ms=0, reason="", user="", name="train", project="", labels={},
        argv=("python", "train.py"), cwd="/", stdout="", stderr="", outputs={"stdout": "", "stderr": ""},
        submitted_ms=0, finish_by_ms=None, start_by_ms=None, duration_ms=RAN_MS, duration_source="yours",
        time_limit_ms=None, gpus=0, gpu_kind="", cpus=1, mem_mb=0, regions=(), exclude_regions=(),
        late=False, asked=False, stopping=False, power_mw=65_000, power_source="a benchmark's", source={},
        snapshot=False, umask=0o077, keeps_env=False, frozen=_frozen(), plan=None, at_risk="", warnings=(),
        ended_ms=0, settlement_state=SettlementState.FINAL, settlement=_account(kind), uid=20_000,
    )  # fmt: skip
    return _plain(record, schema.job)


@cache
def _tried() -> Row:
    factors = {"zones": {"average": "DE"}, "pue_micro": 1_200_000, "pue_source": "assumed"}
    record = AttemptRecord(
        "", 0, AttemptState.ENDED, 0, "local", "", (), 0, factors, started_ms=0, ended_ms=0, exit_code=0
    )
    return _plain(record, schema.attempt)


def _plain(record: JobRecord | AttemptRecord, table: sa.Table) -> Row:
    values = {field.name: getattr(record, field.name) for field in fields(record)}
    return {name: _stored(value, table.c[name]) for name, value in values.items()}


def _stored(value: Any, column: sa.Column[Any]) -> Any:
    if isinstance(column.type, Json):
        return None if value is None else canonical(value)
    return (
        int(value)
        if isinstance(value, bool)
        else value and str(value)
        if column.type.python_type is str
        else value
    )


def _frozen() -> Row:
    at = datetime(2022, 1, 1, tzinfo=UTC)
    return dict(Frozen("local", {"average": "DE"}, 1.2, "assumed", at, "average", home_cpus=2).record())


def _account(kind: int) -> Row:
    saved_ug = (kind * 13 - 20) * 1_000_000
    ledger = Ledger(
        "average", "file grid.csv", "average lifecycle CO2eq, production", 120_000_000, 300_000_000,
        300_000_000 + 2 * saved_ug, 300_000_000 + 2 * saved_ug,
        Levers(2 * saved_ug, 2 * saved_ug, 0, 0, 0, 0, 0),
        tuple(
            Exposure(f"{name} measured: RAPL", "local: assumed", "file grid.csv zone DE", 150_000_000,
                     150_000_000 + saved_ug, 150_000_000 + saved_ug)
            for name in ("cpu", "dram")
        ),
    )  # fmt: skip
    parts = tuple(
        Component(name, How.MEASURED, "RAPL", 600_000_000_000, 500_000_000_000, 1_000_000)
        for name in ("cpu", "dram")
    )
    settled = datetime(2022, 1, 1, tzinfo=UTC)
    return Settlement(
        SettlementState.FINAL, settled, "2", 1_200_000_000_000, 1_440_000_000_000, 1_200_000, "assumed",
        parts, (ledger,), 3_600_000, 0, 0, settled, (("1.1", hashlib.sha256(b"readings").hexdigest()),),
        ("components only: node overhead not measured",), (),
    ).record()  # fmt: skip
