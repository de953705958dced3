"""Slots in which pickups are fetched.

Revision ID: 0021_slots
Revises: 0020_drawers
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0021_slots"
down_revision = "0020_drawers"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "slot_policy",
        sa.Column("location_id", sa.Uuid(), nullable=False),
        sa.Column("minutes", sa.Integer(), nullable=False),
        sa.Column("capacity", sa.Integer(), nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("updated_by", sa.Text(), nullable=False),
        sa.Column("updated_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.CheckConstraint(
            "minutes BETWEEN 5 AND 480 AND capacity BETWEEN 0 AND 10000", name=op.f("ck_slot_policy_limits")
        ),
        sa.ForeignKeyConstraint(["location_id"], ["location.id"], name=op.f("fk_slot_policy_location_id_location")),
        sa.PrimaryKeyConstraint("location_id", name=op.f("pk_slot_policy")),
    )
    op.create_table(
        "pickup_slot",
        sa.Column("location_id", sa.Uuid(), nullable=False),
        sa.Column("starts_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["location_id"], ["location.id"], name=op.f("fk_pickup_slot_location_id_location")),
        sa.PrimaryKeyConstraint("location_id", "starts_at", name=op.f("pk_pickup_slot")),
    )
    op.create_index(
        "ix_fulfillment_slot",
        "fulfillment",
        ["location_id", "slot_at"],
        postgresql_where=sa.text("slot_at IS NOT NULL"),
    )


def downgrade() -> None:
    op.drop_index("ix_fulfillment_slot", table_name="fulfillment")
    op.drop_table("pickup_slot")
    op.drop_table("slot_policy")
