"""Indices for a store of a million jobs: what users ran last, reports by time, open accounts, counts."""

from alembic import op

revision = "0009"
down_revision = "0007"


def upgrade() -> None:
    """Nothing that is there changes."""
    op.create_index("ix_job_state_uid", "job", ["state", "uid", "id"])
    op.create_index("ix_job_user_state", "job", ["user", "state", "id"])
    op.create_index("ix_job_user_name", "job", ["user", "name", "id"])
    op.create_index("ix_job_submitted_ms", "job", ["submitted_ms"])
    op.create_index("ix_job_ended_ms", "job", ["ended_ms"])
    op.drop_index("ix_job_settlement_state", "job")
    op.create_index("ix_job_open_accounts", "job", ["settlement_state", "ended_ms", "id"])
    op.create_index("ix_attempt_ended_ms", "attempt", ["ended_ms"])
