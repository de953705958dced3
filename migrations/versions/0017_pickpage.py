"""Who else may collect a pickup, by a code of her own; and customers who stand before the store.

Revision ID: 0017_pickpage
Revises: 0016_till
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0017_pickpage"
down_revision = "0016_till"
branch_labels = None
depends_on = None

_AT = postgresql.TIMESTAMP(timezone=True)


def upgrade() -> None:
    op.create_table(
        "pickup_proxy",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("fulfillment_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("email", sa.Text(), nullable=True),
        sa.Column("phone", sa.Text(), nullable=True),
        sa.Column("rotation", sa.Integer(), server_default="0", nullable=False),
        sa.Column("code_hash", sa.Text(), nullable=True),
        sa.Column("token_hash", sa.Text(), nullable=True),
        sa.Column("issued_at", _AT, nullable=True),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("locked_at", _AT, nullable=True),
        sa.Column("named_by", sa.Text(), nullable=False),
        sa.Column("named_at", _AT, nullable=False),
        sa.Column("ended_at", _AT, nullable=True),
        sa.Column("end_cause", sa.Text(), nullable=True),
        sa.CheckConstraint("name <> ''", name=op.f("ck_pickup_proxy_name")),
        sa.CheckConstraint("end_cause IN ('used', 'closed', 'revoked')", name=op.f("ck_pickup_proxy_end_cause")),
        sa.CheckConstraint("(ended_at IS NULL) = (end_cause IS NULL)", name=op.f("ck_pickup_proxy_ended")),
        sa.CheckConstraint(
            "(rotation = 0) = (code_hash IS NULL) AND (rotation = 0) = (token_hash IS NULL)"
            " AND (rotation = 0) = (issued_at IS NULL)",
            name=op.f("ck_pickup_proxy_issued"),
        ),
        sa.ForeignKeyConstraint(["fulfillment_id"], ["fulfillment.id"], name=op.f("fk_pickup_proxy_fulfillment_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_pickup_proxy")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_pickup_proxy_token_hash")),
    )
    op.create_index(op.f("ix_pickup_proxy_fulfillment_id"), "pickup_proxy", ["fulfillment_id"])
    op.create_index(op.f("ix_pickup_proxy_code_hash"), "pickup_proxy", ["code_hash"])
    op.create_table(
        "pickup_arrival",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("fulfillment_id", sa.Uuid(), nullable=False),
        sa.Column("place", sa.Text(), server_default="", nullable=False),
        sa.Column("vehicle", sa.Text(), server_default="", nullable=False),
        sa.Column("arrived_at", _AT, nullable=False),
        sa.Column("updated_at", _AT, nullable=False),
        sa.Column("ended_at", _AT, nullable=True),
        sa.ForeignKeyConstraint(["fulfillment_id"], ["fulfillment.id"], name=op.f("fk_pickup_arrival_fulfillment_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_pickup_arrival")),
    )
    op.create_index(
        "uq_pickup_arrival_open",
        "pickup_arrival",
        ["fulfillment_id"],
        unique=True,
        postgresql_where=sa.text("ended_at IS NULL"),
    )
    op.create_index("ix_pickup_arrival_fulfillment_id", "pickup_arrival", ["fulfillment_id"])


def downgrade() -> None:
    op.drop_table("pickup_arrival")
    op.drop_table("pickup_proxy")
