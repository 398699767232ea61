"""What operators decided while the daemon ran: it holds until they decide otherwise, through restarts."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from tidewatt.scheduler.store import schema

if TYPE_CHECKING:
    from tidewatt.scheduler.store.transaction import Transaction

Rows = Callable[[sa.Select[Any]], list[sa.Row[Any]]]


@dataclass(frozen=True, slots=True)
class DecisionRecord:
    """A row of the `decision` table: `drain:eu`, `drain:GPU-1b2c`, `shifting`."""

    name: str
    value: dict[str, Any]  # integers and strings
    since_ms: int
    user: str


def decisions(rows: Rows) -> dict[str, DecisionRecord]:
    """All that hold, by name."""
    return {row.name: DecisionRecord(**row._mapping) for row in rows(sa.select(schema.decision))}


def decide(transaction: "Transaction", record: DecisionRecord, reason: str, undoes: int = 0) -> None:
    """Stores a decision in place of an earlier one of that name, and tells it in the ledger, with who.

    `undoes` is the number of the event whose decision it takes back.
    """
    transaction.put_decision(record.name, record.value, record.since_ms, record.user)
    told = {"decision": record.name, "user": record.user, **record.value, **_undoing(undoes)}
    transaction.append(record.since_ms, "operator.decided", told, reason=reason)


def revoke(
    transaction: "Transaction", name: str, user: str, time_ms: int, reason: str, undoes: int = 0
) -> None:
    """Takes a decision back, and tells that in the ledger, with who."""
    transaction.put_decision(name, None, time_ms, user)
    told = {"decision": name, "user": user, **_undoing(undoes)}
    transaction.append(time_ms, "operator.revoked", told, reason=reason)


def _undoing(number: int) -> dict[str, int]:
    return {"undoes": number} if number else {}
