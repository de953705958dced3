"""Where goods come from: rules, decisions, what sending costs; locations that send; carts that are sent.

Revision ID: 0011_sourcing
Revises: 0010_tax_regions
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0011_sourcing"
down_revision = "0010_tax_regions"
branch_labels = None
depends_on = None

_AT = postgresql.TIMESTAMP(timezone=True)
_JSON = postgresql.JSONB()


def upgrade() -> None:
    op.add_column("location", sa.Column("ship_enabled", sa.Boolean(), server_default="false", nullable=False))
    op.add_column("location", sa.Column("pick_capacity", sa.Integer(), nullable=True))
    op.add_column("location", sa.Column("sourcing_priority", sa.Integer(), server_default="100", nullable=False))
    op.add_column("location", sa.Column("latitude", sa.Float(), nullable=True))
    op.add_column("location", sa.Column("longitude", sa.Float(), nullable=True))
    op.create_check_constraint("pick_capacity", "location", "pick_capacity >= 0")
    op.create_check_constraint("coordinates", "location", "(latitude IS NULL) = (longitude IS NULL)")
    op.create_check_constraint(
        "coordinates_range", "location", "latitude BETWEEN -90 AND 90 AND longitude BETWEEN -180 AND 180"
    )
    op.execute("UPDATE location SET ship_enabled = true WHERE kind = 'warehouse'")
    op.add_column("cart", sa.Column("ship_to", _JSON, nullable=True))
    op.drop_constraint(op.f("ck_cart_method"), "cart", type_="check")
    op.create_check_constraint("method", "cart", "method IN ('pickup', 'carry_out', 'ship')")
    op.create_table(
        "sourcing_policy",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("rules", _JSON, nullable=False),
        sa.Column("most_parts", sa.Integer(), nullable=False),
        sa.Column("no_split_below_minor", sa.BigInteger(), nullable=False),
        sa.Column("areas", _JSON, nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("updated_by", sa.Text(), nullable=False),
        sa.Column("updated_at", _AT, nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("ck_sourcing_policy_only_one")),
        sa.CheckConstraint("most_parts BETWEEN 1 AND 5", name=op.f("ck_sourcing_policy_most_parts")),
        sa.CheckConstraint("no_split_below_minor >= 0", name=op.f("ck_sourcing_policy_no_split_below_minor")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sourcing_policy")),
    )
    op.create_table(
        "sourcing_decision",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("order_id", sa.Uuid(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("decision", _JSON, nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("decided_at", _AT, nullable=False),
        sa.CheckConstraint("cause IN ('placed', 'short')", name=op.f("ck_sourcing_decision_cause")),
        sa.ForeignKeyConstraint(["order_id"], ["order.id"], name=op.f("fk_sourcing_decision_order_id_order")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sourcing_decision")),
    )
    op.create_index("ix_sourcing_decision_order_id", "sourcing_decision", ["order_id", "decided_at"])
    op.create_table(
        "shipping_rate",
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("country", sa.Text(), nullable=False),
        sa.Column("region", sa.Text(), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("free_from_minor", sa.BigInteger(), nullable=True),
        sa.Column("tax_class_code", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("updated_by", sa.Text(), nullable=False),
        sa.Column("updated_at", _AT, nullable=False),
        sa.CheckConstraint("amount_minor >= 0 AND free_from_minor >= 0", name=op.f("ck_shipping_rate_amounts")),
        sa.CheckConstraint("country <> '' OR region = ''", name=op.f("ck_shipping_rate_region")),
        sa.ForeignKeyConstraint(
            ["tax_class_code"], ["tax_class.code"], name=op.f("fk_shipping_rate_tax_class_code_tax_class")
        ),
        sa.PrimaryKeyConstraint("currency", "country", "region", name=op.f("pk_shipping_rate")),
    )


def downgrade() -> None:
    op.drop_table("shipping_rate")
    op.drop_table("sourcing_decision")
    op.drop_table("sourcing_policy")
    op.drop_constraint(op.f("ck_cart_method"), "cart", type_="check")
    op.create_check_constraint("method", "cart", "method IN ('pickup', 'carry_out')")
    op.drop_column("cart", "ship_to")
    for name in ("coordinates_range", "coordinates", "pick_capacity"):
        op.drop_constraint(op.f(f"ck_location_{name}"), "location", type_="check")
    for name in ("longitude", "latitude", "sourcing_priority", "pick_capacity", "ship_enabled"):
        op.drop_column("location", name)
