"""Parcels of what is sent to customers.

Revision ID: 0004_parcels
Revises: 0003_orders
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004_parcels"
down_revision = "0003_orders"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "parcel",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("fulfillment_id", sa.UUID(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("weight_g", sa.Integer(), nullable=True),
        sa.Column("state", sa.Text(), server_default="packed", nullable=False),
        sa.Column("carrier", sa.Text(), nullable=True),
        sa.Column("tracking", sa.Text(), nullable=True),
        sa.Column("packed_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("shipped_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("delivered_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.CheckConstraint("(state = 'delivered') = (delivered_at IS NOT NULL)", name=op.f("ck_parcel_delivered")),
        sa.CheckConstraint("(state = 'packed') = (shipped_at IS NULL)", name=op.f("ck_parcel_shipped")),
        sa.CheckConstraint("state IN ('packed', 'shipped', 'delivered')", name=op.f("ck_parcel_state")),
        sa.CheckConstraint("(shipped_at IS NULL) = (carrier IS NULL)", name=op.f("ck_parcel_carrier")),
        sa.CheckConstraint("weight_g > 0", name=op.f("ck_parcel_weight_g")),
        sa.ForeignKeyConstraint(["fulfillment_id"], ["fulfillment.id"], name=op.f("fk_parcel_fulfillment_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_parcel")),
        sa.UniqueConstraint("fulfillment_id", "position", name=op.f("uq_parcel_fulfillment_id_position")),
    )
    op.create_index("ix_parcel_tracking", "parcel", ["tracking"], unique=False)
    op.create_table(
        "parcel_line",
        sa.Column("parcel_id", sa.UUID(), nullable=False),
        sa.Column("order_line_id", sa.UUID(), nullable=False),
        sa.Column("quantity", sa.Integer(), nullable=False),
        sa.CheckConstraint("quantity > 0", name=op.f("ck_parcel_line_quantity")),
        sa.ForeignKeyConstraint(["order_line_id"], ["order_line.id"], name=op.f("fk_parcel_line_order_line_id")),
        sa.ForeignKeyConstraint(["parcel_id"], ["parcel.id"], name=op.f("fk_parcel_line_parcel_id")),
        sa.PrimaryKeyConstraint("parcel_id", "order_line_id", name=op.f("pk_parcel_line")),
    )
    op.create_index(op.f("ix_parcel_line_order_line_id"), "parcel_line", ["order_line_id"], unique=False)


def downgrade() -> None:
    op.drop_index(op.f("ix_parcel_line_order_line_id"), table_name="parcel_line")
    op.drop_table("parcel_line")
    op.drop_index("ix_parcel_tracking", table_name="parcel")
    op.drop_table("parcel")
