"""Price periods, promotions, coupons, invoices.

Revision ID: 0004_prices
Revises: 0003_orders
"""

revision = "0004_prices"
down_revision = "0003_orders"
branch_labels = None
depends_on = None


def upgrade() -> None:
    pass


def downgrade() -> None:
    pass
