"""Orders that change and are searched: the rules of a shop, what was changed, indexes of what people ask for.

Revision ID: 0007_changes
Revises: 0006_returns
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0007_changes"
down_revision = "0006_returns"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "order_policy",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("channel_code", sa.Text(), nullable=True),
        sa.Column("cancel_reasons", sa.ARRAY(sa.Text()), nullable=True),
        sa.Column("goods_changes_most", sa.Integer(), nullable=True),
        sa.Column("frozen_by_goods_change", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("same_product_only", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("payment_changes_most", sa.Integer(), nullable=True),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("updated_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.CheckConstraint("goods_changes_most >= 0 AND payment_changes_most >= 0", name=op.f("ck_order_policy_most")),
        sa.ForeignKeyConstraint(["channel_code"], ["channel.code"], name=op.f("fk_order_policy_channel_code")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_order_policy")),
    )
    op.create_index(
        "uq_order_policy_channel", "order_policy", ["channel_code"], unique=True, postgresql_nulls_not_distinct=True
    )
    op.create_table(
        "order_change",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("order_id", sa.UUID(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("before", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("after", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("difference_minor", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("payment_method_id", sa.UUID(), nullable=True),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.CheckConstraint("kind IN ('goods', 'address', 'contact', 'payment')", name=op.f("ck_order_change_kind")),
        sa.ForeignKeyConstraint(["order_id"], ["order.id"], name=op.f("fk_order_change_order_id")),
        sa.ForeignKeyConstraint(
            ["payment_method_id"], ["payment_method.id"], name=op.f("fk_order_change_payment_method_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_order_change")),
    )
    op.create_index("ix_order_change_order_id", "order_change", ["order_id", "id"], unique=False)
    op.execute(
        "CREATE TRIGGER order_change_append_only BEFORE UPDATE OR DELETE ON order_change "
        "FOR EACH STATEMENT EXECUTE FUNCTION refuse_edit()"
    )
    op.create_index(
        "ix_order_contact_name",
        "order",
        [sa.text("lower(contact_name) text_pattern_ops")],
        postgresql_where=sa.text("contact_name <> ''"),
    )
    op.create_index(
        "ix_order_contact_email", "order", ["contact_email"], postgresql_where=sa.text("contact_email IS NOT NULL")
    )
    op.create_index(
        "ix_order_contact_phone", "order", ["contact_phone"], postgresql_where=sa.text("contact_phone IS NOT NULL")
    )
    op.create_index("ix_order_line_sku", "order_line", ["sku"])


def downgrade() -> None:
    op.drop_index("ix_order_line_sku", table_name="order_line")
    for name in ("phone", "email", "name"):
        op.drop_index(f"ix_order_contact_{name}", table_name="order")
    op.drop_index("ix_order_change_order_id", table_name="order_change")
    op.drop_table("order_change")
    op.drop_index("uq_order_policy_channel", table_name="order_policy", postgresql_nulls_not_distinct=True)
    op.drop_table("order_policy")
