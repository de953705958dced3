"""Promotions, coupons and their uses; prices that end, and campaigns that go before a channel's own price list.

Revision ID: 0013_promotions
Revises: 0012_documents
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0013_promotions"
down_revision = "0012_documents"
branch_labels = None
depends_on = None


def _moment(name: str, *, nullable: bool = True) -> sa.Column[object]:
    return sa.Column(name, postgresql.TIMESTAMP(timezone=True), nullable=nullable)


def _number(name: str, default: str | None = None, *, big: bool = False) -> sa.Column[object]:
    kind = sa.BigInteger() if big else sa.Integer()
    return sa.Column(name, kind, server_default=default, nullable=default is None)


def _flag(name: str, default: str) -> sa.Column[object]:
    return sa.Column(name, sa.Boolean(), server_default=default, nullable=False)


def _texts(name: str) -> sa.Column[object]:
    return sa.Column(name, sa.ARRAY(sa.Text()), server_default="{}", nullable=False)


def upgrade() -> None:
    _create_promotion()
    _create_coupons()
    op.add_column("cart", _texts("coupon_codes"))
    op.add_column("price", _moment("valid_to"))
    op.create_check_constraint("period", "price", "valid_from < valid_to")
    op.create_table(
        "campaign",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("channel_code", sa.Text(), nullable=False),
        sa.Column("price_list_id", sa.UUID(), nullable=False),
        sa.Column("name", sa.Text(), server_default="", nullable=False),
        _number("priority", "100"),
        _moment("valid_from"),
        _moment("valid_to"),
        sa.Column("from_on", sa.Date(), nullable=True),
        sa.Column("to_on", sa.Date(), nullable=True),
        _number("version", "1"),
        sa.CheckConstraint("valid_from < valid_to AND from_on <= to_on", name=op.f("ck_campaign_period")),
        sa.CheckConstraint("num_nulls(valid_from, from_on) = 1", name=op.f("ck_campaign_begins")),
        sa.CheckConstraint(
            "num_nulls(valid_from, to_on) > 0 AND num_nulls(from_on, valid_to) > 0", name=op.f("ck_campaign_ends")
        ),
        sa.ForeignKeyConstraint(["channel_code"], ["channel.code"], name=op.f("fk_campaign_channel_code")),
        sa.ForeignKeyConstraint(["price_list_id"], ["price_list.id"], name=op.f("fk_campaign_price_list_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_campaign")),
    )
    op.create_index("ix_campaign_channel", "campaign", ["channel_code", "id"])


def _create_promotion() -> None:
    op.create_table(
        "promotion",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("name_ja", sa.Text(), nullable=True),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=True),
        _number("percent_bp", "0"),
        _number("amount_minor", "0", big=True),
        _flag("per_unit", "false"),
        _number("buy_quantity", "0"),
        _number("get_quantity", "0"),
        _number("times"),
        sa.Column("steps", postgresql.JSONB(astext_type=sa.Text()), server_default="[]", nullable=False),
        _texts("channels"),
        sa.Column("locations", sa.ARRAY(sa.UUID()), server_default="{}", nullable=False),
        _texts("skus"),
        _texts("categories"),
        _number("min_quantity", "0"),
        _number("min_amount_minor", "0", big=True),
        _moment("valid_from", nullable=False),
        _moment("valid_to"),
        _number("priority", "100"),
        _flag("stackable", "true"),
        sa.Column("exclusive_group", sa.Text(), nullable=True),
        _flag("needs_coupon", "false"),
        _flag("active", "true"),
        _moment("activated_at"),
        _number("version", "1"),
        _moment("created_at", nullable=False),
        _moment("updated_at", nullable=False),
        sa.CheckConstraint(
            "kind IN ('percentage', 'amount', 'buy_x_get_y', 'threshold')", name=op.f("ck_promotion_kind")
        ),
        sa.CheckConstraint("currency ~ '^[A-Z]{3}$'", name=op.f("ck_promotion_currency")),
        sa.CheckConstraint("percent_bp BETWEEN 0 AND 10000", name=op.f("ck_promotion_percent_bp")),
        sa.CheckConstraint(
            "amount_minor >= 0 AND buy_quantity >= 0 AND get_quantity >= 0 AND times > 0"
            " AND min_quantity >= 0 AND min_amount_minor >= 0",
            name=op.f("ck_promotion_figures"),
        ),
        sa.CheckConstraint(
            "currency IS NOT NULL OR (amount_minor = 0 AND min_amount_minor = 0 AND kind <> 'threshold')",
            name=op.f("ck_promotion_amounts"),
        ),
        sa.CheckConstraint("valid_from < valid_to", name=op.f("ck_promotion_period")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_promotion")),
        sa.UniqueConstraint("code", name=op.f("uq_promotion_code")),
    )
    op.create_index(
        "ix_promotion_automatic", "promotion", ["valid_from"], postgresql_where=sa.text("active AND NOT needs_coupon")
    )


def _create_coupons() -> None:
    op.create_table(
        "coupon",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("promotion_id", sa.UUID(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        _number("total_limit"),
        _number("per_customer_limit"),
        _moment("valid_from"),
        _moment("valid_to"),
        _number("used", "0"),
        _flag("active", "true"),
        _number("version", "1"),
        _moment("created_at", nullable=False),
        _moment("updated_at", nullable=False),
        sa.CheckConstraint("used >= 0 AND (total_limit IS NULL OR used <= total_limit)", name=op.f("ck_coupon_used")),
        sa.CheckConstraint("total_limit > 0 AND per_customer_limit > 0", name=op.f("ck_coupon_limits")),
        sa.CheckConstraint("valid_from < valid_to", name=op.f("ck_coupon_period")),
        sa.CheckConstraint("code <> '' AND code = upper(code)", name=op.f("ck_coupon_code")),
        sa.ForeignKeyConstraint(["promotion_id"], ["promotion.id"], name=op.f("fk_coupon_promotion_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_coupon")),
        sa.UniqueConstraint("code", name=op.f("uq_coupon_code")),
    )
    op.create_index("ix_coupon_promotion", "coupon", ["promotion_id", "id"])
    op.create_table(
        "coupon_use",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("coupon_id", sa.UUID(), nullable=False),
        sa.Column("order_id", sa.UUID(), nullable=False),
        _moment("used_at", nullable=False),
        _moment("released_at"),
        sa.ForeignKeyConstraint(["coupon_id"], ["coupon.id"], name=op.f("fk_coupon_use_coupon_id")),
        sa.ForeignKeyConstraint(["order_id"], ["order.id"], name=op.f("fk_coupon_use_order_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_coupon_use")),
    )
    op.create_index("ix_coupon_use_order_id", "coupon_use", ["order_id"])
    op.create_index("uq_coupon_use_order", "coupon_use", ["coupon_id", "order_id"], unique=True)


def downgrade() -> None:
    op.drop_index("ix_campaign_channel", table_name="campaign")
    op.drop_table("campaign")
    op.drop_constraint(op.f("ck_price_period"), "price", type_="check")
    op.drop_column("price", "valid_to")
    op.drop_column("cart", "coupon_codes")
    for table in ("coupon_use", "coupon", "promotion"):
        op.drop_table(table)
