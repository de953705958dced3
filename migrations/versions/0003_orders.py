"""Orders in full, the shared floor: discounts, addresses, parts of lines that are given up, shipping states, gift cards,
payment methods, refunds by line.

Revision ID: 0003_orders
Revises: 0002_inventory
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003_orders"
down_revision = "0002_inventory"
branch_labels = None
depends_on = None

# (table, name, condition now, condition before): a condition that was there is replaced
CHECKS = (
    (
        "fulfillment",
        "state",
        "state IN ('pending', 'allocated', 'picking', 'packed', 'shipped', 'delivered', 'in_transit', 'arrived', 'ready', 'collected', 'short', 'expired', 'cancelled')",
        "state IN ('pending', 'allocated', 'picking', 'ready', 'collected', 'short', 'expired', 'cancelled')",
    ),
    ("fulfillment", "source", "(method = 'ship_to_store') = (source_location_id IS NOT NULL)", None),
    (
        "fulfillment_line",
        "quantity",
        "quantity > 0 AND picked >= 0 AND collected >= 0 AND short >= 0 AND cancelled >= 0",
        "quantity > 0 AND picked >= 0 AND collected >= 0 AND short >= 0",
    ),
    (
        "fulfillment_line",
        "picked",
        "picked + short + cancelled <= quantity AND collected <= picked",
        "picked + short <= quantity AND collected <= picked",
    ),
    (
        "order_line",
        "refunded_quantity",
        "refunded_quantity >= 0 AND cancelled_quantity >= 0 AND refunded_quantity + cancelled_quantity <= greatest(quantity, 0)",
        "refunded_quantity >= 0 AND refunded_quantity <= greatest(quantity, 0)",
    ),
    ("order_line", "kind", "kind IN ('goods', 'shipping', 'gift_card')", None),
    (
        "payment",
        "tender",
        "tender IN ('card', 'points', 'cash', 'card_terminal', 'pay_at_pickup', 'gift_card', 'external')",
        "tender IN ('card', 'points', 'cash', 'card_terminal', 'pay_at_pickup')",
    ),
    ("payment", "gift_card", "(tender = 'gift_card') = (gift_card_id IS NOT NULL)", None),
    ("payment", "released", "released_minor >= 0 AND released_minor + captured_minor <= amount_minor", None),
    ("refund", "destination", "destination IN ('original', 'gift_card')", None),
    ("refund", "gift_card", "(destination = 'gift_card') = (gift_card_id IS NOT NULL)", None),
)


def upgrade() -> None:
    op.create_table(
        "gift_card",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("kind", sa.Text(), server_default="gift_card", nullable=False),
        sa.Column("code_hash", sa.Text(), nullable=False),
        sa.Column("hint", sa.Text(), nullable=False),
        sa.Column("customer_id", sa.UUID(), nullable=True),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("balance_minor", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("state", sa.Text(), server_default="active", nullable=False),
        sa.Column("expires_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("external_reference", sa.Text(), nullable=True),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("created_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.CheckConstraint("currency ~ '^[A-Z]{3}$'", name=op.f("ck_gift_card_currency")),
        sa.CheckConstraint("kind IN ('gift_card', 'store_credit')", name=op.f("ck_gift_card_kind")),
        sa.CheckConstraint("state IN ('active', 'blocked')", name=op.f("ck_gift_card_state")),
        sa.CheckConstraint("balance_minor >= 0", name=op.f("ck_gift_card_balance")),
        sa.ForeignKeyConstraint(["customer_id"], ["customer.id"], name=op.f("fk_gift_card_customer_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_gift_card")),
        sa.UniqueConstraint("code_hash", name=op.f("uq_gift_card_code_hash")),
        sa.UniqueConstraint("external_reference", name=op.f("uq_gift_card_external_reference")),
    )
    op.create_index(
        "ix_gift_card_customer_id",
        "gift_card",
        ["customer_id"],
        unique=False,
        postgresql_where=sa.text("customer_id IS NOT NULL"),
    )
    op.create_table(
        "payment_method",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("customer_id", sa.UUID(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("brand", sa.Text(), server_default="", nullable=False),
        sa.Column("label", sa.Text(), server_default="", nullable=False),
        sa.Column("provider_method", sa.Text(), nullable=True),
        sa.Column("gift_card_id", sa.UUID(), nullable=True),
        sa.Column("external_reference", sa.Text(), nullable=True),
        sa.Column("retired_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("created_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.CheckConstraint(
            "(kind = 'gift_card') = (gift_card_id IS NOT NULL)", name=op.f("ck_payment_method_gift_card")
        ),
        sa.CheckConstraint("kind IN ('card', 'wallet', 'gift_card')", name=op.f("ck_payment_method_kind")),
        sa.ForeignKeyConstraint(["customer_id"], ["customer.id"], name=op.f("fk_payment_method_customer_id")),
        sa.ForeignKeyConstraint(["gift_card_id"], ["gift_card.id"], name=op.f("fk_payment_method_gift_card_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_payment_method")),
    )
    op.create_index("uq_payment_method_external", "payment_method", ["customer_id", "external_reference"], unique=True)
    op.create_table(
        "gift_card_entry",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("seq", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("gift_card_id", sa.UUID(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("order_id", sa.UUID(), nullable=True),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.CheckConstraint(
            "amount_minor <> 0 AND (kind <> 'spend' OR amount_minor < 0) AND (kind NOT IN ('issue', 'refund') OR amount_minor > 0)",
            name=op.f("ck_gift_card_entry_sign"),
        ),
        sa.CheckConstraint("kind IN ('issue', 'spend', 'refund', 'adjust')", name=op.f("ck_gift_card_entry_kind")),
        sa.ForeignKeyConstraint(["gift_card_id"], ["gift_card.id"], name=op.f("fk_gift_card_entry_gift_card_id")),
        sa.ForeignKeyConstraint(["order_id"], ["order.id"], name=op.f("fk_gift_card_entry_order_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_gift_card_entry")),
        sa.UniqueConstraint("key", name=op.f("uq_gift_card_entry_key")),
        sa.UniqueConstraint("seq", name=op.f("uq_gift_card_entry_seq")),
    )
    op.create_index(op.f("ix_gift_card_entry_gift_card_id"), "gift_card_entry", ["gift_card_id"], unique=False)
    op.create_index(op.f("ix_gift_card_entry_order_id"), "gift_card_entry", ["order_id"], unique=False)
    op.create_table(
        "refund_line",
        sa.Column("refund_id", sa.UUID(), nullable=False),
        sa.Column("order_line_id", sa.UUID(), nullable=False),
        sa.Column("quantity", sa.Integer(), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("because", sa.Text(), nullable=False),
        sa.CheckConstraint("because IN ('cancelled', 'returned')", name=op.f("ck_refund_line_because")),
        sa.CheckConstraint("quantity > 0 AND amount_minor >= 0", name=op.f("ck_refund_line_quantity")),
        sa.ForeignKeyConstraint(["order_line_id"], ["order_line.id"], name=op.f("fk_refund_line_order_line_id")),
        sa.ForeignKeyConstraint(["refund_id"], ["refund.id"], name=op.f("fk_refund_line_refund_id")),
        sa.PrimaryKeyConstraint("refund_id", "order_line_id", name=op.f("pk_refund_line")),
    )
    op.create_index(op.f("ix_refund_line_order_line_id"), "refund_line", ["order_line_id"], unique=False)
    op.add_column("customer", sa.Column("address", postgresql.JSONB(astext_type=sa.Text()), nullable=True))
    op.add_column("fulfillment", sa.Column("source_location_id", sa.UUID(), nullable=True))
    op.add_column("fulfillment", sa.Column("slot_at", postgresql.TIMESTAMP(timezone=True), nullable=True))
    op.add_column("fulfillment", sa.Column("picker_id", sa.UUID(), nullable=True))
    op.add_column("fulfillment", sa.Column("packed_at", postgresql.TIMESTAMP(timezone=True), nullable=True))
    op.add_column("fulfillment", sa.Column("shipped_at", postgresql.TIMESTAMP(timezone=True), nullable=True))
    op.add_column("fulfillment", sa.Column("arrived_at", postgresql.TIMESTAMP(timezone=True), nullable=True))
    op.add_column("fulfillment", sa.Column("delivered_at", postgresql.TIMESTAMP(timezone=True), nullable=True))
    op.create_foreign_key(
        op.f("fk_fulfillment_source_location_id"), "fulfillment", "location", ["source_location_id"], ["id"]
    )
    op.create_foreign_key(op.f("fk_fulfillment_picker_id"), "fulfillment", "staff", ["picker_id"], ["id"])
    op.add_column("fulfillment_line", sa.Column("cancelled", sa.Integer(), server_default="0", nullable=False))
    op.add_column("order", sa.Column("discount_minor", sa.BigInteger(), server_default="0", nullable=False))
    op.add_column(
        "order", sa.Column("discounts", postgresql.JSONB(astext_type=sa.Text()), server_default="[]", nullable=False)
    )
    op.add_column("order", sa.Column("coupon_codes", sa.ARRAY(sa.Text()), server_default="{}", nullable=False))
    op.add_column("order", sa.Column("ship_to", postgresql.JSONB(astext_type=sa.Text()), nullable=True))
    op.add_column("order", sa.Column("changes", sa.Integer(), server_default="0", nullable=False))
    op.add_column("order_line", sa.Column("kind", sa.Text(), server_default="goods", nullable=False))
    op.add_column("order_line", sa.Column("discount_minor", sa.BigInteger(), server_default="0", nullable=False))
    op.add_column("order_line", sa.Column("cancelled_quantity", sa.Integer(), server_default="0", nullable=False))
    op.add_column("order_line", sa.Column("substitute_for", sa.UUID(), nullable=True))
    op.add_column("payment", sa.Column("released_minor", sa.BigInteger(), server_default="0", nullable=False))
    op.add_column("payment", sa.Column("gift_card_id", sa.UUID(), nullable=True))
    op.add_column("payment", sa.Column("payment_method_id", sa.UUID(), nullable=True))
    op.add_column("payment", sa.Column("replaces", sa.UUID(), nullable=True))
    op.create_index(op.f("ix_payment_gift_card_id"), "payment", ["gift_card_id"], unique=False)
    op.create_foreign_key(op.f("fk_payment_replaces"), "payment", "payment", ["replaces"], ["id"])
    op.create_foreign_key(
        op.f("fk_payment_payment_method_id"), "payment", "payment_method", ["payment_method_id"], ["id"]
    )
    op.create_foreign_key(op.f("fk_payment_gift_card_id"), "payment", "gift_card", ["gift_card_id"], ["id"])
    op.add_column("refund", sa.Column("destination", sa.Text(), server_default="original", nullable=False))
    op.add_column("refund", sa.Column("gift_card_id", sa.UUID(), nullable=True))
    op.add_column("refund", sa.Column("return_id", sa.UUID(), nullable=True))
    op.create_index(op.f("ix_refund_return_id"), "refund", ["return_id"], unique=False)
    op.create_foreign_key(op.f("fk_refund_return_id"), "refund", "return", ["return_id"], ["id"])
    op.create_foreign_key(op.f("fk_refund_gift_card_id"), "refund", "gift_card", ["gift_card_id"], ["id"])
    for table, name, condition, before in CHECKS:
        if before is not None:
            op.drop_constraint(op.f(f"ck_{table}_{name}"), table, type_="check")
        op.create_check_constraint(name, table, condition)
    op.execute(
        "CREATE TRIGGER gift_card_entry_append_only BEFORE UPDATE OR DELETE ON gift_card_entry "
        "FOR EACH STATEMENT EXECUTE FUNCTION refuse_edit()"
    )


def downgrade() -> None:
    for table, name, _, before in CHECKS:
        op.drop_constraint(op.f(f"ck_{table}_{name}"), table, type_="check")
        if before is not None:
            op.create_check_constraint(name, table, before)
    op.drop_constraint(op.f("fk_refund_gift_card_id"), "refund", type_="foreignkey")
    op.drop_constraint(op.f("fk_refund_return_id"), "refund", type_="foreignkey")
    op.drop_index(op.f("ix_refund_return_id"), table_name="refund")
    op.drop_column("refund", "return_id")
    op.drop_column("refund", "gift_card_id")
    op.drop_column("refund", "destination")
    op.drop_constraint(op.f("fk_payment_gift_card_id"), "payment", type_="foreignkey")
    op.drop_constraint(op.f("fk_payment_payment_method_id"), "payment", type_="foreignkey")
    op.drop_constraint(op.f("fk_payment_replaces"), "payment", type_="foreignkey")
    op.drop_index(op.f("ix_payment_gift_card_id"), table_name="payment")
    op.drop_column("payment", "replaces")
    op.drop_column("payment", "payment_method_id")
    op.drop_column("payment", "gift_card_id")
    op.drop_column("payment", "released_minor")
    op.drop_column("order_line", "substitute_for")
    op.drop_column("order_line", "cancelled_quantity")
    op.drop_column("order_line", "discount_minor")
    op.drop_column("order_line", "kind")
    op.drop_column("order", "changes")
    op.drop_column("order", "ship_to")
    op.drop_column("order", "coupon_codes")
    op.drop_column("order", "discounts")
    op.drop_column("order", "discount_minor")
    op.drop_column("fulfillment_line", "cancelled")
    op.drop_constraint(op.f("fk_fulfillment_picker_id"), "fulfillment", type_="foreignkey")
    op.drop_constraint(op.f("fk_fulfillment_source_location_id"), "fulfillment", type_="foreignkey")
    op.drop_column("fulfillment", "delivered_at")
    op.drop_column("fulfillment", "arrived_at")
    op.drop_column("fulfillment", "shipped_at")
    op.drop_column("fulfillment", "packed_at")
    op.drop_column("fulfillment", "picker_id")
    op.drop_column("fulfillment", "slot_at")
    op.drop_column("fulfillment", "source_location_id")
    op.drop_column("customer", "address")
    op.drop_index(op.f("ix_refund_line_order_line_id"), table_name="refund_line")
    op.drop_table("refund_line")
    op.drop_index(op.f("ix_gift_card_entry_order_id"), table_name="gift_card_entry")
    op.drop_index(op.f("ix_gift_card_entry_gift_card_id"), table_name="gift_card_entry")
    op.drop_table("gift_card_entry")
    op.drop_index("uq_payment_method_external", table_name="payment_method")
    op.drop_table("payment_method")
    op.drop_index(
        "ix_gift_card_customer_id", table_name="gift_card", postgresql_where=sa.text("customer_id IS NOT NULL")
    )
    op.drop_table("gift_card")
