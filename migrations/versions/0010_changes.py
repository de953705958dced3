"""Orders that change: policies of changing, search.

Revision ID: 0010_changes
Revises: 0009_returns
"""

revision = "0010_changes"
down_revision = "0009_returns"
branch_labels = None
depends_on = None


def upgrade() -> None:
    pass


def downgrade() -> None:
    pass
