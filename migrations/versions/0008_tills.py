"""Tills: drawers, sales taken offline.

Revision ID: 0008_tills
Revises: 0007_payments
"""

revision = "0008_tills"
down_revision = "0007_payments"
branch_labels = None
depends_on = None


def upgrade() -> None:
    pass


def downgrade() -> None:
    pass
