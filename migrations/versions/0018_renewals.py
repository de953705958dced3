"""When it was told that a card's authorization lapses.

Revision ID: 0018_renewals
Revises: 0017_pickpage
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0018_renewals"
down_revision = "0017_pickpage"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("payment", sa.Column("warned_at", postgresql.TIMESTAMP(timezone=True), nullable=True))
