"""Jobs that pause, jobs of several system users, and what operators decide while the daemon runs."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

Time = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Adds columns and a table; jobs that are there already never pause and run as the daemon's user."""
    op.add_column("job", sa.Column("pausing", sa.Text))
    op.add_column("job", sa.Column("progress_ms", Time, nullable=False, server_default="0"))
    op.add_column("job", sa.Column("paused", sa.Text, nullable=False, server_default=""))
    op.add_column("job", sa.Column("uid", sa.Integer))
    op.create_table(
        "decision",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("value", sa.Text, nullable=False),
        sa.Column("since_ms", Time, nullable=False),
        sa.Column("user", sa.Text, nullable=False),
        sqlite_strict=True,
    )
