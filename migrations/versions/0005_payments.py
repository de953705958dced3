"""Refunds onto other payment methods, of whole orders, for nothing, and less a fee.

Revision ID: 0005_payments
Revises: 0004_parcels
"""

import sqlalchemy as sa
from alembic import op

revision = "0005_payments"
down_revision = "0004_parcels"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("refund", sa.Column("payment_method_id", sa.UUID(), nullable=True))
    op.create_foreign_key(
        op.f("fk_refund_payment_method_id"), "refund", "payment_method", ["payment_method_id"], ["id"]
    )
    op.add_column("refund", sa.Column("whole", sa.Boolean(), server_default="false", nullable=False))
    op.add_column("refund", sa.Column("goodwill", sa.Boolean(), server_default="false", nullable=False))
    op.add_column("refund", sa.Column("kept_minor", sa.BigInteger(), server_default="0", nullable=False))
    op.execute("UPDATE refund SET whole = true")  # until now only whole orders were refunded
    op.drop_constraint(op.f("ck_refund_destination"), "refund", type_="check")
    op.create_check_constraint("destination", "refund", "destination IN ('original', 'gift_card', 'payment_method')")
    op.create_check_constraint(
        "payment_method", "refund", "(destination = 'payment_method') = (payment_method_id IS NOT NULL)"
    )
    op.create_check_constraint("kept", "refund", "kept_minor >= 0 AND NOT (whole AND goodwill)")


def downgrade() -> None:
    for name in ("kept", "payment_method", "destination"):
        op.drop_constraint(op.f(f"ck_refund_{name}"), "refund", type_="check")
    op.create_check_constraint("destination", "refund", "destination IN ('original', 'gift_card')")
    op.drop_constraint(op.f("fk_refund_payment_method_id"), "refund", type_="foreignkey")
    for name in ("kept_minor", "goodwill", "whole", "payment_method_id"):
        op.drop_column("refund", name)
