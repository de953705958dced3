"""What becomes of goods that are missing: how many units of a component make one of what a line sells.

Revision ID: 0011_shortfalls
Revises: 0010_changes
"""

import sqlalchemy as sa
from alembic import op

revision = "0011_shortfalls"
down_revision = "0010_changes"
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


def downgrade() -> None:
    op.drop_constraint(op.f("ck_reservation_per_unit"), "reservation")
    op.drop_column("reservation", "per_unit")
