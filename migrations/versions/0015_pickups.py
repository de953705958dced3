"""What waits to be picked delays the next promise, and the counter's list has what arrived from elsewhere.

Revision ID: 0015_pickups
Revises: 0014_gift_receipts
"""

import sqlalchemy as sa
from alembic import op

revision = "0015_pickups"
down_revision = "0014_gift_receipts"
branch_labels = None
depends_on = None

BEFORE = "method = 'pickup' AND state IN ('allocated', 'picking', 'ready')"
NOW = "method IN ('pickup', 'ship_to_store') AND state IN ('allocated', 'picking', 'arrived', 'ready')"


def upgrade() -> None:
    op.add_column("location", sa.Column("pick_minutes_per_line", sa.Integer(), nullable=True))
    op.create_check_constraint("pick_minutes_per_line", "location", "pick_minutes_per_line BETWEEN 1 AND 120")
    _replace_open(NOW)
    op.create_index(
        "ix_fulfillment_to_pick",
        "fulfillment",
        [sa.text("coalesce(source_location_id, location_id)"), "ready_by", "id"],
        postgresql_where=sa.text("state IN ('allocated', 'picking')"),
    )


def downgrade() -> None:
    op.drop_index("ix_fulfillment_to_pick", table_name="fulfillment")
    _replace_open(BEFORE)
    op.drop_constraint(op.f("ck_location_pick_minutes_per_line"), "location", type_="check")
    op.drop_column("location", "pick_minutes_per_line")


def _replace_open(which: str) -> None:
    op.drop_index("ix_fulfillment_open", table_name="fulfillment")
    op.create_index(
        "ix_fulfillment_open", "fulfillment", ["location_id", "ready_by", "id"], postgresql_where=sa.text(which)
    )
