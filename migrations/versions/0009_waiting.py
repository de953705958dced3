"""Goods that wait at the counter: how often they are kept longer, and whether somebody was reminded.

Revision ID: 0009_waiting
Revises: 0008_shortfalls
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0009_waiting"
down_revision = "0008_shortfalls"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("fulfillment", sa.Column("extensions", sa.Integer(), server_default="0", nullable=False))
    op.add_column("fulfillment", sa.Column("reminded_at", postgresql.TIMESTAMP(timezone=True), nullable=True))
    op.create_check_constraint("extensions", "fulfillment", "extensions >= 0")


def downgrade() -> None:
    op.drop_constraint(op.f("ck_fulfillment_extensions"), "fulfillment", type_="check")
    op.drop_column("fulfillment", "reminded_at")
    op.drop_column("fulfillment", "extensions")
