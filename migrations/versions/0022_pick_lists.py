"""Pick lists: one walk for several orders.

Revision ID: 0022_pick_lists
Revises: 0021_slots
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0022_pick_lists"
down_revision = "0021_slots"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "pick_list",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("location_id", sa.Uuid(), nullable=False),
        sa.Column("picker_id", sa.Uuid(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("created_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["location_id"], ["location.id"], name=op.f("fk_pick_list_location_id_location")),
        sa.ForeignKeyConstraint(["picker_id"], ["staff.id"], name=op.f("fk_pick_list_picker_id_staff")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_pick_list")),
    )
    op.create_table(
        "pick_list_part",
        sa.Column("fulfillment_id", sa.Uuid(), nullable=False),
        sa.Column("pick_list_id", sa.Uuid(), nullable=False),
        sa.Column("tote", sa.Integer(), nullable=False),
        sa.CheckConstraint("tote > 0", name=op.f("ck_pick_list_part_tote")),
        sa.ForeignKeyConstraint(
            ["fulfillment_id"], ["fulfillment.id"], name=op.f("fk_pick_list_part_fulfillment_id_fulfillment")
        ),
        sa.ForeignKeyConstraint(
            ["pick_list_id"], ["pick_list.id"], name=op.f("fk_pick_list_part_pick_list_id_pick_list")
        ),
        sa.PrimaryKeyConstraint("fulfillment_id", name=op.f("pk_pick_list_part")),
        sa.UniqueConstraint("pick_list_id", "tote", name=op.f("uq_pick_list_part_pick_list_id_tote")),
    )


def downgrade() -> None:
    op.drop_table("pick_list_part")
    op.drop_table("pick_list")
