"""Cash drawers of tills: sessions from count to count, and the cash that moved in them.

Revision ID: 0020_drawers
Revises: 0019_pickup_links
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0020_drawers"
down_revision = "0019_pickup_links"
branch_labels = None
depends_on = None

_AT = postgresql.TIMESTAMP(timezone=True)


def upgrade() -> None:
    op.create_table(
        "drawer",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("till_id", sa.Uuid(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("opening_minor", sa.BigInteger(), nullable=False),
        sa.Column("opened_by", sa.Text(), nullable=False),
        sa.Column("opened_at", _AT, nullable=False),
        sa.Column("expected_minor", sa.BigInteger(), nullable=True),
        sa.Column("counted_minor", sa.BigInteger(), nullable=True),
        sa.Column("difference_minor", sa.BigInteger(), nullable=True),
        sa.Column("closed_by", sa.Text(), nullable=True),
        sa.Column("closed_at", _AT, nullable=True),
        sa.CheckConstraint("opening_minor >= 0 AND counted_minor >= 0", name=op.f("ck_drawer_counts")),
        sa.CheckConstraint(
            "num_nonnulls(expected_minor, counted_minor, closed_by, closed_at) IN (0, 4)", name=op.f("ck_drawer_closed")
        ),
        sa.CheckConstraint(
            "difference_minor IS NOT DISTINCT FROM counted_minor - expected_minor", name=op.f("ck_drawer_difference")
        ),
        sa.ForeignKeyConstraint(["till_id"], ["till.id"], name=op.f("fk_drawer_till_id_till")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_drawer")),
    )
    op.create_index(op.f("ix_drawer_till_id"), "drawer", ["till_id"])
    op.create_index("uq_drawer_open", "drawer", ["till_id"], unique=True, postgresql_where=sa.text("closed_at IS NULL"))
    op.create_table(
        "drawer_entry",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("drawer_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("payment_id", sa.Uuid(), nullable=True),
        sa.Column("refund_id", sa.Uuid(), nullable=True),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("at", _AT, nullable=False),
        sa.CheckConstraint("kind IN ('sale', 'refund', 'pay_in', 'pay_out')", name=op.f("ck_drawer_entry_kind")),
        sa.CheckConstraint("amount_minor > 0", name=op.f("ck_drawer_entry_amount_minor")),
        sa.CheckConstraint(
            "(kind = 'sale') = (payment_id IS NOT NULL) AND (kind = 'refund') = (refund_id IS NOT NULL)",
            name=op.f("ck_drawer_entry_cause"),
        ),
        sa.ForeignKeyConstraint(["drawer_id"], ["drawer.id"], name=op.f("fk_drawer_entry_drawer_id_drawer")),
        sa.ForeignKeyConstraint(["payment_id"], ["payment.id"], name=op.f("fk_drawer_entry_payment_id_payment")),
        sa.ForeignKeyConstraint(["refund_id"], ["refund.id"], name=op.f("fk_drawer_entry_refund_id_refund")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_drawer_entry")),
        sa.UniqueConstraint("payment_id", name=op.f("uq_drawer_entry_payment_id")),
        sa.UniqueConstraint("refund_id", name=op.f("uq_drawer_entry_refund_id")),
    )
    op.create_index(op.f("ix_drawer_entry_drawer_id"), "drawer_entry", ["drawer_id"])


def downgrade() -> None:
    op.drop_table("drawer_entry")
    op.drop_table("drawer")
