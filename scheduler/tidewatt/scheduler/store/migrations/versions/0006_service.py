"""Tokens, sessions, the audit log and keys of submissions; indices that lists by owner go by."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

_TIME = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Nothing that is there changes."""
    op.create_table(
        "token",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("sha256", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("scope", sa.Text, nullable=False),
        sa.Column("user", sa.Text, nullable=False),
        sa.Column("uid", sa.Integer, nullable=True),
        sa.Column("created_ms", _TIME, nullable=False),
        sa.Column("expires_ms", _TIME, nullable=True),
        sa.Column("used_ms", _TIME, nullable=True),
        sa.Column("revoked_ms", _TIME, nullable=True),
        sqlite_strict=True,
    )
    op.create_table(
        "session",
        sa.Column("sha256", sa.Text, primary_key=True),
        sa.Column("token_id", sa.Text, nullable=False),
        sa.Column("csrf", sa.Text, nullable=False),
        sa.Column("created_ms", _TIME, nullable=False),
        sa.Column("expires_ms", _TIME, nullable=False),
        sqlite_strict=True,
    )
    op.create_table(
        "audit",
        sa.Column("seq", _TIME, primary_key=True, autoincrement=False),
        sa.Column("time_ms", _TIME, nullable=False),
        sa.Column("user", sa.Text, nullable=False),
        sa.Column("way", sa.Text, nullable=False),
        sa.Column("address", sa.Text, nullable=False),
        sa.Column("method", sa.Text, nullable=False),
        sa.Column("path", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("status", sa.Integer, nullable=False),
        sqlite_strict=True,
    )
    op.create_index("ix_audit_time_ms", "audit", ["time_ms"])
    op.create_table(
        "idempotency",
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("time_ms", _TIME, nullable=False),
        sa.Column("answer", sa.Text, nullable=False),
        sqlite_strict=True,
    )
    op.create_index("ix_idempotency_time_ms", "idempotency", ["time_ms"])
    for column in ("uid", "user", "project"):
        op.create_index(f"ix_job_{column}", "job", [column, "id"])
