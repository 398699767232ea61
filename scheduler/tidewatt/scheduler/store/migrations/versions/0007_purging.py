"""Digests of what was purged from events, so that the chain over all of them can be followed for ever."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Nothing is purged yet."""
    op.add_column("event", sa.Column("hidden", sa.Text, nullable=True))
