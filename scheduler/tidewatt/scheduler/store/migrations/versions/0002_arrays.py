"""Arrays, dependencies, priorities, retries, kinds of GPU, and what was learnt of a job's length."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

Time = sa.BigInteger().with_variant(sa.Integer, "sqlite")
NUMBERS = (
    "array",
    "array_task",
    "array_size",
    "array_limit",
    "priority",
    "retries",
    "retried",
    "data_mb",
    "postponed",
)
LISTS = ("after", "after_any", "kinds")
TIMES = ("not_before_ms", "guard_ms", "estimate_ms")


def upgrade() -> None:
    """Adds the columns; jobs that are there already have none of it."""
    for name in NUMBERS:
        op.add_column("job", sa.Column(name, sa.Integer, nullable=False, server_default="0"))
    for name in LISTS:
        op.add_column("job", sa.Column(name, sa.Text, nullable=False, server_default="[]"))
    for name in TIMES:
        op.add_column("job", sa.Column(name, Time))
    op.create_index("ix_job_array", "job", ["array"])
