"""Gift receipts, and returns that come by one.

Revision ID: 0014_gift_receipts
Revises: 0013_promotions
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0014_gift_receipts"
down_revision = "0013_promotions"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "gift_receipt",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("reference", sa.Text(), nullable=False),
        sa.Column("token_hash", sa.Text(), nullable=False),
        sa.Column("order_id", sa.UUID(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("created_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["order_id"], ["order.id"], name=op.f("fk_gift_receipt_order_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_gift_receipt")),
        sa.UniqueConstraint("order_id", name=op.f("uq_gift_receipt_order_id")),
        sa.UniqueConstraint("reference", name=op.f("uq_gift_receipt_reference")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_gift_receipt_token_hash")),
    )
    op.add_column("return", sa.Column("gift_receipt_id", sa.UUID(), nullable=True))
    op.create_foreign_key(op.f("fk_return_gift_receipt_id"), "return", "gift_receipt", ["gift_receipt_id"], ["id"])


def downgrade() -> None:
    op.drop_constraint(op.f("fk_return_gift_receipt_id"), "return", type_="foreignkey")
    op.drop_column("return", "gift_receipt_id")
    op.drop_table("gift_receipt")
