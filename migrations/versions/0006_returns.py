"""Returns and exchanges: policies, inspection, what is wanted instead.

Revision ID: 0006_returns
Revises: 0005_payments
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0006_returns"
down_revision = "0005_payments"
branch_labels = None
depends_on = None

# (table, name, condition now, condition before): a condition that was there is replaced
CHECKS = (
    ("order_line", "returning_quantity", "returning_quantity BETWEEN 0 AND greatest(quantity, 0)", None),
    ("return", "purpose", "purpose IN ('refund', 'exchange')", None),
    (
        "return",
        "state",
        "state IN ('requested', 'approved', 'received', 'refunded', 'exchanged', 'rejected', 'cancelled')",
        "state IN ('requested', 'approved', 'received', 'refunded', 'rejected')",
    ),
    ("return", "refund_to", "refund_to IN ('original', 'gift_card', 'store_credit')", None),
    ("return", "gift_card", "refund_to <> 'gift_card' OR gift_card_id IS NOT NULL", None),
    ("return", "fee", "fee_minor >= 0", None),
    (
        "return",
        "closed",
        "kind = 'history' OR (closed_at IS NOT NULL) = (state IN ('refunded', 'exchanged', 'rejected', 'cancelled'))",
        None,
    ),
    (
        "return_line",
        "quantities",
        (
            "received_quantity >= 0 AND accepted_quantity >= 0 AND accepted_quantity <= greatest(quantity, 0)"
            " AND received_quantity <= greatest(quantity, 0)"
        ),
        None,
    ),
)


def upgrade() -> None:
    op.create_table(
        "return_policy",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("scope_key", sa.Text(), server_default="", nullable=False),
        sa.Column("window_days", sa.Integer(), nullable=True),
        sa.Column("conditions", sa.ARRAY(sa.Text()), nullable=False),
        sa.Column("destinations", sa.ARRAY(sa.Text()), nullable=False),
        sa.Column("restocking_fee_bp", sa.Integer(), server_default="0", nullable=False),
        sa.Column("final_sale", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("exchange_allowed", sa.Boolean(), server_default="true", nullable=False),
        sa.Column("same_product_only", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("requests_per_order", sa.Integer(), nullable=True),
        sa.Column("approval", sa.Text(), server_default="automatic", nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("updated_by", sa.Text(), nullable=False),
        sa.Column("updated_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.CheckConstraint("(scope = 'company') = (scope_key = '')", name=op.f("ck_return_policy_scope_key")),
        sa.CheckConstraint("approval IN ('automatic', 'by_hand')", name=op.f("ck_return_policy_approval")),
        sa.CheckConstraint("scope IN ('company', 'category', 'sku')", name=op.f("ck_return_policy_scope")),
        sa.CheckConstraint("restocking_fee_bp BETWEEN 0 AND 10000", name=op.f("ck_return_policy_restocking_fee_bp")),
        sa.CheckConstraint("window_days >= 0 AND requests_per_order >= 0", name=op.f("ck_return_policy_limits")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_return_policy")),
    )
    op.create_index("uq_return_policy_scope", "return_policy", ["scope", "scope_key"], unique=True)
    op.create_table(
        "exchange_line",
        sa.Column("return_line_id", sa.UUID(), nullable=False),
        sa.Column("order_line_id", sa.UUID(), nullable=False),
        sa.Column("location_id", sa.UUID(), nullable=False),
        sa.Column("variant_id", sa.UUID(), nullable=False),
        sa.Column("sku", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("quantity", sa.Integer(), nullable=False),
        sa.Column("unit_price_minor", sa.BigInteger(), nullable=False),
        sa.Column("tax_rate_bp", sa.Integer(), nullable=False),
        sa.Column("subtotal_minor", sa.BigInteger(), nullable=False),
        sa.Column("tax_minor", sa.BigInteger(), nullable=False),
        sa.Column("total_minor", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("quantity > 0", name=op.f("ck_exchange_line_quantity")),
        sa.ForeignKeyConstraint(["location_id"], ["location.id"], name=op.f("fk_exchange_line_location_id")),
        sa.ForeignKeyConstraint(["return_line_id"], ["return_line.id"], name=op.f("fk_exchange_line_return_line_id")),
        sa.ForeignKeyConstraint(["variant_id"], ["variant.id"], name=op.f("fk_exchange_line_variant_id")),
        sa.PrimaryKeyConstraint("return_line_id", name=op.f("pk_exchange_line")),
        sa.UniqueConstraint("order_line_id", name=op.f("uq_exchange_line_order_line_id")),
    )
    op.add_column("order_line", sa.Column("returning_quantity", sa.Integer(), server_default="0", nullable=False))
    op.add_column("return", sa.Column("purpose", sa.Text(), server_default="refund", nullable=False))
    op.add_column("return", sa.Column("fee_minor", sa.BigInteger(), server_default="0", nullable=False))
    op.add_column("return", sa.Column("refund_to", sa.Text(), server_default="original", nullable=False))
    op.add_column("return", sa.Column("gift_card_id", sa.UUID(), nullable=True))
    op.add_column("return", sa.Column("payment_method_id", sa.UUID(), nullable=True))
    op.add_column("return", sa.Column("difference_minor", sa.BigInteger(), nullable=True))
    op.add_column(
        "return", sa.Column("findings", postgresql.JSONB(astext_type=sa.Text()), server_default="[]", nullable=False)
    )
    op.add_column("return", sa.Column("requested_by", sa.Text(), server_default="system", nullable=False))
    op.add_column("return", sa.Column("decided_by", sa.Text(), nullable=True))
    op.add_column("return", sa.Column("decided_at", postgresql.TIMESTAMP(timezone=True), nullable=True))
    op.add_column("return", sa.Column("received_at", postgresql.TIMESTAMP(timezone=True), nullable=True))
    op.add_column("return", sa.Column("inspected_at", postgresql.TIMESTAMP(timezone=True), nullable=True))
    op.add_column("return", sa.Column("close_reason", sa.Text(), nullable=True))
    op.add_column("return", sa.Column("version", sa.Integer(), server_default="1", nullable=False))
    op.create_index(
        "ix_return_live",
        "return",
        [sa.literal_column("requested_at DESC"), sa.literal_column("id DESC")],
        unique=False,
        postgresql_where=sa.text("kind = 'live'"),
    )
    op.create_foreign_key(op.f("fk_return_gift_card_id"), "return", "gift_card", ["gift_card_id"], ["id"])
    op.create_foreign_key(
        op.f("fk_return_payment_method_id"), "return", "payment_method", ["payment_method_id"], ["id"]
    )
    op.add_column("return_line", sa.Column("reason", sa.Text(), server_default="", nullable=False))
    op.add_column("return_line", sa.Column("condition", sa.Text(), nullable=True))
    op.add_column("return_line", sa.Column("received_quantity", sa.Integer(), server_default="0", nullable=False))
    op.add_column("return_line", sa.Column("accepted_quantity", sa.Integer(), server_default="0", nullable=False))
    op.add_column(
        "return_line",
        sa.Column("outcomes", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False),
    )
    for table, name, condition, before in CHECKS:
        if before is not None:
            op.drop_constraint(op.f(f"ck_{table}_{name}"), table, type_="check")
        op.create_check_constraint(name, table, condition)


def downgrade() -> None:
    for table, name, _, before in CHECKS:
        op.drop_constraint(op.f(f"ck_{table}_{name}"), table, type_="check")
        if before is not None:
            op.create_check_constraint(name, table, before)
    op.drop_column("return_line", "outcomes")
    op.drop_column("return_line", "accepted_quantity")
    op.drop_column("return_line", "received_quantity")
    op.drop_column("return_line", "condition")
    op.drop_column("return_line", "reason")
    op.drop_constraint(op.f("fk_return_payment_method_id"), "return", type_="foreignkey")
    op.drop_constraint(op.f("fk_return_gift_card_id"), "return", type_="foreignkey")
    op.drop_index("ix_return_live", table_name="return", postgresql_where=sa.text("kind = 'live'"))
    op.drop_column("return", "version")
    op.drop_column("return", "close_reason")
    op.drop_column("return", "inspected_at")
    op.drop_column("return", "received_at")
    op.drop_column("return", "decided_at")
    op.drop_column("return", "decided_by")
    op.drop_column("return", "requested_by")
    op.drop_column("return", "findings")
    op.drop_column("return", "difference_minor")
    op.drop_column("return", "payment_method_id")
    op.drop_column("return", "gift_card_id")
    op.drop_column("return", "refund_to")
    op.drop_column("return", "fee_minor")
    op.drop_column("return", "purpose")
    op.drop_column("order_line", "returning_quantity")
    op.drop_table("exchange_line")
    op.drop_index("uq_return_policy_scope", table_name="return_policy")
    op.drop_table("return_policy")
