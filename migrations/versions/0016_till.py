"""Tills, and the sales that they made offline.

Revision ID: 0016_till
Revises: 0015_pickups
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0016_till"
down_revision = "0015_pickups"
branch_labels = None
depends_on = None

_AT = postgresql.TIMESTAMP(timezone=True)


def upgrade() -> None:
    op.create_table(
        "till",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), server_default="", nullable=False),
        sa.Column("location_id", sa.Uuid(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("created_at", _AT, nullable=False),
        sa.CheckConstraint("code <> '' AND length(code) <= 64", name=op.f("ck_till_code")),
        sa.ForeignKeyConstraint(["location_id"], ["location.id"], name=op.f("fk_till_location_id_location")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_till")),
        sa.UniqueConstraint("code", name=op.f("uq_till_code")),
    )
    op.create_index(op.f("ix_till_location_id"), "till", ["location_id"])
    op.create_table(
        "till_sale",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("till_id", sa.Uuid(), nullable=False),
        sa.Column("sale_id", sa.Text(), nullable=False),
        sa.Column("order_id", sa.Uuid(), nullable=True),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("flags", postgresql.JSONB(), server_default="[]", nullable=False),
        sa.Column("sold_at", _AT, nullable=False),
        sa.Column("recorded_at", _AT, nullable=False),
        sa.Column("seen_by", sa.Text(), nullable=True),
        sa.Column("seen_at", _AT, nullable=True),
        sa.CheckConstraint("(seen_by IS NULL) = (seen_at IS NULL)", name=op.f("ck_till_sale_seen")),
        sa.ForeignKeyConstraint(["till_id"], ["till.id"], name=op.f("fk_till_sale_till_id_till")),
        sa.ForeignKeyConstraint(["order_id"], ["order.id"], name=op.f("fk_till_sale_order_id_order")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_till_sale")),
        sa.UniqueConstraint("till_id", "sale_id", name=op.f("uq_till_sale_till_id_sale_id")),
        sa.UniqueConstraint("order_id", name=op.f("uq_till_sale_order_id")),
    )
    op.create_index("ix_till_sale_flagged", "till_sale", ["id"], postgresql_where=sa.text("flags <> '[]'::jsonb"))


def downgrade() -> None:
    op.drop_table("till_sale")
    op.drop_table("till")
