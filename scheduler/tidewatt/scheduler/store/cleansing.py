"""Takes words out of stored rows: each event keeps the digests of what it said, each job its numbers."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa

from tidewatt.scheduler.proof.purged import NAMES, NOBODY, PATHS, REASON, WORDS, purge
from tidewatt.scheduler.store import schema
from tidewatt.scheduler.store.records import JobRecord
from tidewatt.scheduler.store.transaction import Transaction

_PLACES: Mapping[str, Any] = {"cwd": "", "stdout": "", "stderr": "", "outputs": {}, "source": {}}
_PEOPLE: Mapping[str, Any] = {
    "user": NOBODY, "uid": None, "name": NOBODY, "labels": {}, "argv": (), "reason": "", "warnings": (),
    "at_risk": "",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Part:
    """What of jobs goes: their people's words, their paths."""

    names: bool
    paths: bool

    @property
    def fields(self) -> frozenset[str]:
        """Of events."""
        words = NAMES | WORDS | {REASON} if self.names else frozenset()
        return words | (PATHS if self.paths else frozenset())


def tells(job: JobRecord, part: Part) -> bool:
    """Whether there is something left to purge of a job."""
    named = part.names and (job.user != NOBODY or bool(job.argv))
    return named or (part.paths and bool(job.cwd or job.stdout or job.outputs))


def lacking(events: Iterable[Mapping[str, Any]], fields: frozenset[str]) -> list[dict[str, Any]]:
    """Rows of events that change, as they are stored then."""
    found = []
    for event in events:
        if changed := purge(event, fields):
            found.append({"number": event["seq"], **changed})
    return found


def cleanse_events(transaction: Transaction, rows: Sequence[Mapping[str, Any]]) -> None:
    """Stores events without what was purged; their hashes stay."""
    table = schema.event
    if rows:
        change = table.update().where(table.c.seq == sa.bindparam("number"))
        values: dict[str, Any] = {name: sa.bindparam(name) for name in ("payload", "reason", "hidden")}
        transaction.execute(change.values(values), list(rows))


def cleanse_job(transaction: Transaction, job: JobRecord, part: Part) -> None:
    """Stores a job without what was purged."""
    values: dict[str, Any] = (dict(_PEOPLE) if part.names else {}) | (dict(_PLACES) if part.paths else {})
    if part.names and job.plan is not None:
        values["plan"] = replace(job.plan, reason="", note="")
    transaction.change_job(job.id, **values)
    if part.names:
        table = schema.attempt
        transaction.execute(table.update().where(table.c.job_id == job.id).values(reason=""))


def cleanse_user(transaction: Transaction, user: str) -> None:
    """Stores what stands outside jobs without a user's name: audit log, old tokens, what they decided."""
    audit, token, decision = schema.audit.c, schema.token.c, schema.decision.c
    transaction.execute(schema.audit.update().where(audit.user == user).values(user=NOBODY, address=""))
    over = token.user == user, token.revoked_ms.is_not(None)
    transaction.execute(schema.token.delete().where(*over))
    transaction.execute(schema.decision.update().where(decision.user == user).values(user=NOBODY))


def audited(rows: Any, user: str) -> int:
    """How many lines of the audit log name a user."""
    query = sa.select(sa.func.count().label("lines")).where(schema.audit.c.user == user)
    return int(rows(query)[0].lines)


def holding(rows: Any, user: str) -> int:
    """How many tokens of a user were not revoked."""
    token = schema.token.c
    query = sa.select(sa.func.count().label("tokens"))
    return int(rows(query.where(token.user == user, token.revoked_ms.is_(None)))[0].tokens)
