"""Returns and exchanges in full: policies, inspection, gift receipts.

Revision ID: 0009_returns
Revises: 0008_tills
"""

revision = "0009_returns"
down_revision = "0008_tills"
branch_labels = None
depends_on = None


def upgrade() -> None:
    pass


def downgrade() -> None:
    pass
