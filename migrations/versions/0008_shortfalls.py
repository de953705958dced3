"""What becomes of goods that are missing: shortfalls, substitutes, a store's policy, and the share of components in bundles.

Revision ID: 0008_shortfalls
Revises: 0007_changes
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0008_shortfalls"
down_revision = "0007_changes"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("reservation", sa.Column("per_unit", sa.Integer(), server_default="1", nullable=False))
    # Of open promises of bundles; what is settled is not parted any more.
    op.execute(
        """
        UPDATE reservation SET per_unit = part.quantity
        FROM order_line AS line JOIN bundle_component AS part ON part.bundle_id = line.variant_id
        WHERE reservation.line_id = line.id AND reservation.variant_id = part.component_id
          AND reservation.state IN ('allocated', 'short')
        """
    )
    op.create_check_constraint("per_unit", "reservation", "per_unit > 0")
    op.create_table(
        "shortfall",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("order_id", sa.UUID(), nullable=False),
        sa.Column("fulfillment_id", sa.UUID(), nullable=False),
        sa.Column("order_line_id", sa.UUID(), nullable=False),
        sa.Column("quantity", sa.Integer(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), server_default="open", nullable=False),
        sa.Column("to_fulfillment_id", sa.UUID(), nullable=True),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("created_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("settled_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("settled_by", sa.Text(), nullable=True),
        sa.CheckConstraint("(state IN ('open', 'proposed')) = (settled_at IS NULL)", name=op.f("ck_shortfall_settled")),
        sa.CheckConstraint(
            "state IN ('open', 'proposed') OR state IN ('resourced', 'shipped', 'substituted', 'refunded', 'filled', 'cancelled')",
            name=op.f("ck_shortfall_state"),
        ),
        sa.CheckConstraint("quantity > 0", name=op.f("ck_shortfall_quantity")),
        sa.ForeignKeyConstraint(["fulfillment_id"], ["fulfillment.id"], name=op.f("fk_shortfall_fulfillment_id")),
        sa.ForeignKeyConstraint(["order_id"], ["order.id"], name=op.f("fk_shortfall_order_id")),
        sa.ForeignKeyConstraint(["order_line_id"], ["order_line.id"], name=op.f("fk_shortfall_order_line_id")),
        sa.ForeignKeyConstraint(["to_fulfillment_id"], ["fulfillment.id"], name=op.f("fk_shortfall_to_fulfillment_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_shortfall")),
    )
    op.create_index("ix_shortfall_fulfillment_id", "shortfall", ["fulfillment_id"], unique=False)
    op.create_index(
        "ix_shortfall_open",
        "shortfall",
        ["created_at"],
        unique=False,
        postgresql_where=sa.text("state IN ('open', 'proposed')"),
    )
    op.create_index(op.f("ix_shortfall_order_id"), "shortfall", ["order_id"], unique=False)
    op.create_table(
        "substitute_proposal",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("order_id", sa.UUID(), nullable=False),
        sa.Column("fulfillment_id", sa.UUID(), nullable=False),
        sa.Column("order_line_id", sa.UUID(), nullable=False),
        sa.Column("quantity", sa.Integer(), nullable=False),
        sa.Column("variant_id", sa.UUID(), nullable=False),
        sa.Column("sku", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("unit_price_minor", sa.BigInteger(), nullable=False),
        sa.Column("tax_rate_bp", sa.Integer(), nullable=False),
        sa.Column("token_hash", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), server_default="proposed", nullable=False),
        sa.Column("expires_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("proposed_by", sa.Text(), nullable=False),
        sa.Column("created_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("answered_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("new_line_id", sa.UUID(), nullable=True),
        sa.CheckConstraint(
            "(state = 'proposed') = (answered_at IS NULL)", name=op.f("ck_substitute_proposal_answered")
        ),
        sa.CheckConstraint(
            "state IN ('proposed', 'accepted', 'declined', 'expired', 'withdrawn')",
            name=op.f("ck_substitute_proposal_state"),
        ),
        sa.CheckConstraint("quantity > 0", name=op.f("ck_substitute_proposal_quantity")),
        sa.CheckConstraint("unit_price_minor >= 0", name=op.f("ck_substitute_proposal_unit_price_minor")),
        sa.ForeignKeyConstraint(
            ["fulfillment_id"], ["fulfillment.id"], name=op.f("fk_substitute_proposal_fulfillment_id")
        ),
        sa.ForeignKeyConstraint(["new_line_id"], ["order_line.id"], name=op.f("fk_substitute_proposal_new_line_id")),
        sa.ForeignKeyConstraint(["order_id"], ["order.id"], name=op.f("fk_substitute_proposal_order_id")),
        sa.ForeignKeyConstraint(
            ["order_line_id"], ["order_line.id"], name=op.f("fk_substitute_proposal_order_line_id")
        ),
        sa.ForeignKeyConstraint(["variant_id"], ["variant.id"], name=op.f("fk_substitute_proposal_variant_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_substitute_proposal")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_substitute_proposal_token_hash")),
    )
    op.create_index(
        "ix_substitute_proposal_expiry",
        "substitute_proposal",
        ["expires_at"],
        unique=False,
        postgresql_where=sa.text("state = 'proposed'"),
    )
    op.create_index(op.f("ix_substitute_proposal_order_id"), "substitute_proposal", ["order_id"], unique=False)
    op.create_index(
        "uq_substitute_proposal_open",
        "substitute_proposal",
        ["fulfillment_id", "order_line_id"],
        unique=True,
        postgresql_where=sa.text("state = 'proposed'"),
    )
    op.create_index(
        "ix_fulfillment_collect_by",
        "fulfillment",
        ["collect_by"],
        unique=False,
        postgresql_where=sa.text("state = 'ready'"),
    )
    op.add_column("transfer", sa.Column("promised_to", sa.UUID(), nullable=True))
    op.add_column("fulfillment", sa.Column("transfer_id", sa.UUID(), nullable=True))
    op.add_column("location", sa.Column("shortfall_policy", sa.Text(), server_default="ask", nullable=False))
    op.create_check_constraint("shortfall_policy", "location", "shortfall_policy IN ('ask', 'resource', 'refund')")


def downgrade() -> None:
    op.drop_constraint(op.f("ck_location_shortfall_policy"), "location")
    op.drop_column("location", "shortfall_policy")
    op.drop_index("ix_fulfillment_collect_by", table_name="fulfillment")
    op.drop_column("fulfillment", "transfer_id")
    op.drop_column("transfer", "promised_to")
    op.drop_index(
        "uq_substitute_proposal_open", table_name="substitute_proposal", postgresql_where=sa.text("state = 'proposed'")
    )
    op.drop_index(op.f("ix_substitute_proposal_order_id"), table_name="substitute_proposal")
    op.drop_index(
        "ix_substitute_proposal_expiry",
        table_name="substitute_proposal",
        postgresql_where=sa.text("state = 'proposed'"),
    )
    op.drop_table("substitute_proposal")
    op.drop_index(op.f("ix_shortfall_order_id"), table_name="shortfall")
    op.drop_index(
        "ix_shortfall_open", table_name="shortfall", postgresql_where=sa.text("state IN ('open', 'proposed')")
    )
    op.drop_index("ix_shortfall_fulfillment_id", table_name="shortfall")
    op.drop_table("shortfall")
    op.drop_constraint(op.f("ck_reservation_per_unit"), "reservation")
    op.drop_column("reservation", "per_unit")
