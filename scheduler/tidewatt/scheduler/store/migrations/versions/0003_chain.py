"""A chain of hashes over all events; those that are there already are chained once, and an event says so."""

import json
import time
from typing import Any

import sqlalchemy as sa
from alembic import op

from tidewatt.scheduler.proof.chain import EMPTY, Tip, link, seal

revision = "0003"
down_revision = "0002"

AT_ONCE = 10_000


def upgrade() -> None:
    """Adds the column, and chains what is there in the order in which it was written."""
    op.add_column("event", sa.Column("hash", sa.Text, nullable=False, server_default=""))
    op.create_index("ix_event_kind", "event", ["kind", "time_ms"])
    connection = op.get_bind()
    tip = EMPTY
    while rows := _after(connection, tip.seq):
        hashes = []
        for row in rows:
            tip = Tip(row["seq"], link(tip.hash, seal(row)))
            hashes.append({"seq": tip.seq, "hash": tip.hash})
        connection.execute(sa.text("update event set hash = :hash where seq = :seq"), hashes)
    if tip.seq:
        _tell(connection, tip)


def _after(connection: sa.Connection, seq: int) -> list[dict[str, Any]]:
    query = sa.text("select * from event where seq > :seq order by seq limit :limit")
    rows = connection.execute(query, {"seq": seq, "limit": AT_ONCE})
    return [{**row, "payload": json.loads(row["payload"])} for row in rows.mappings()]


def _tell(connection: sa.Connection, tip: Tip) -> None:
    """Appends the event from which on the chain was kept at each write."""
    file = connection.dialect.name == "sqlite"  # which remembers numbers that were given and taken back
    query = "select seq from sqlite_sequence where name = 'event'" if file else "select max(seq) from event"
    last = connection.execute(sa.text(query)).scalar_one()
    payload = {"until_seq": tip.seq}
    event = {
        "seq": last + 1, "time_ms": time.time_ns() // 1_000_000, "kind": "chain.began", "job_id": None,
        "attempt_id": "", "payload": payload,
        "reason": "the events before were chained afterwards: nothing shows that they had not been changed",
    }  # fmt: skip
    text = json.dumps(payload, sort_keys=True, separators=(",", ":"))
    connection.execute(
        sa.text(
            "insert into event (seq, time_ms, job_id, attempt_id, kind, reason, payload, hash)"
            " values (:seq, :time_ms, :job_id, :attempt_id, :kind, :reason, :text, :hash)"
        ),
        {**event, "text": text, "hash": link(tip.hash, seal(event))},
    )
