"""Which region taxes what is sent where, and how prices are shown there.

Revision ID: 0010_tax_regions
Revises: 0009_waiting
"""

import sqlalchemy as sa
from alembic import op

revision = "0010_tax_regions"
down_revision = "0009_waiting"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "tax_region",
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("zone", sa.Text(), nullable=False),
        sa.Column("tax_inclusive", sa.Boolean(), nullable=True),
        sa.PrimaryKeyConstraint("code", name=op.f("pk_tax_region")),
    )
    op.create_table(
        "tax_destination",
        sa.Column("country", sa.Text(), nullable=False),
        sa.Column("area", sa.Text(), server_default="", nullable=False),
        sa.Column("region_code", sa.Text(), nullable=False),
        sa.CheckConstraint("country ~ '^[A-Z]{2}$'", name=op.f("ck_tax_destination_country")),
        sa.ForeignKeyConstraint(["region_code"], ["tax_region.code"], name=op.f("fk_tax_destination_region_code")),
        sa.PrimaryKeyConstraint("country", "area", name=op.f("pk_tax_destination")),
    )
    op.create_index(op.f("ix_tax_destination_region_code"), "tax_destination", ["region_code"], unique=False)


def downgrade() -> None:
    op.drop_index(op.f("ix_tax_destination_region_code"), table_name="tax_destination")
    op.drop_table("tax_destination")
    op.drop_table("tax_region")
