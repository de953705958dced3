"""The link to a pickup's page.

Revision ID: 0019_pickup_links
Revises: 0018_renewals
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0019_pickup_links"
down_revision = "0018_renewals"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "pickup_link",
        sa.Column("fulfillment_id", sa.Uuid(), nullable=False),
        sa.Column("rotation", sa.Integer(), server_default="1", nullable=False),
        sa.Column("token_hash", sa.Text(), nullable=False),
        sa.Column("made_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["fulfillment_id"], ["fulfillment.id"], name=op.f("fk_pickup_link_fulfillment_id")),
        sa.PrimaryKeyConstraint("fulfillment_id", name=op.f("pk_pickup_link")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_pickup_link_token_hash")),
    )


def downgrade() -> None:
    op.drop_table("pickup_link")
