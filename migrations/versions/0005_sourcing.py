"""Sourcing rules and decisions, shipping methods, parcels.

Revision ID: 0005_sourcing
Revises: 0004_prices
"""

revision = "0005_sourcing"
down_revision = "0004_prices"
branch_labels = None
depends_on = None


def upgrade() -> None:
    pass


def downgrade() -> None:
    pass
