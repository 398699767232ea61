"""Counters that go back with their transaction, for databases whose sequences do not."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """SQLite keeps such counters itself."""
    connection = op.get_bind()
    if connection.dialect.name == "sqlite":
        return
    last = connection.execute(sa.text("select coalesce(max(seq), 0) from event")).scalar_one()
    counter = op.create_table(
        "counter",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("last", sa.BigInteger, nullable=False),
    )
    op.bulk_insert(counter, [{"name": "event", "last": last}, {"name": "epoch", "last": 0}])
