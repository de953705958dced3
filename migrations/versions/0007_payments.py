"""Payments in full: re-authorization and reconciliation.

Revision ID: 0007_payments
Revises: 0006_pickups
"""

revision = "0007_payments"
down_revision = "0006_pickups"
branch_labels = None
depends_on = None


def upgrade() -> None:
    pass


def downgrade() -> None:
    pass
