"""The first tables: event, job, attempt."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

Time = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Makes the tables."""
    op.create_table(
        "event",
        sa.Column("seq", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("time_ms", Time, nullable=False),
        sa.Column("job_id", sa.Integer, index=True),
        sa.Column("attempt_id", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("payload", sa.Text, nullable=False),
        sqlite_strict=True,
        sqlite_autoincrement=True,
    )
    text = (
        "reason",
        "user",
        "name",
        "project",
        "labels",
        "argv",
        "cwd",
        "stdout",
        "stderr",
        "outputs",
        "duration_source",
    )
    more = (
        "gpu_kind",
        "regions",
        "exclude_regions",
        "power_source",
        "source",
        "frozen",
        "at_risk",
        "warnings",
    )
    number = ("gpus", "cpus", "mem_mb", "late", "asked", "stopping", "snapshot", "umask", "keeps_env")
    op.create_table(
        "job",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("state", sa.Text, nullable=False, index=True),
        *(sa.Column(name, sa.Text, nullable=False) for name in text + more),
        *(sa.Column(name, sa.Integer, nullable=False) for name in number),
        *(
            sa.Column(name, Time, nullable=False)
            for name in ("since_ms", "submitted_ms", "duration_ms", "power_mw")
        ),
        *(sa.Column(name, Time) for name in ("finish_by_ms", "start_by_ms", "time_limit_ms", "ended_ms")),
        sa.Column("plan", sa.Text),
        sa.Column("settlement_state", sa.Text, nullable=False, index=True),
        sa.Column("settlement", sa.Text),
        sqlite_strict=True,
        sqlite_autoincrement=True,
    )
    op.create_table(
        "attempt",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("job_id", sa.Integer, sa.ForeignKey("job.id"), nullable=False, index=True),
        sa.Column("state", sa.Text, nullable=False, index=True),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("region", "pool", "gpu_uuids")),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("factors", "reason")),
        *(sa.Column(name, Time, nullable=False) for name in ("since_ms", "launched_ms")),
        *(sa.Column(name, Time) for name in ("started_ms", "ended_ms")),
        *(sa.Column(name, sa.Integer) for name in ("exit_code", "signal")),
        sqlite_strict=True,
    )
