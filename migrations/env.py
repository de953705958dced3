"""Runs migrations: one process at a time (advisory lock), never waiting long for a lock that a live shop holds."""

from alembic import context
from sqlalchemy import create_engine, pool, text

# Whoever compares models with tables must know all of them, whatever the process has imported so far.
import inventory.models  # noqa: F401
import loyalty.models  # noqa: F401
import orders.models  # noqa: F401
import retail.kernel.models
import retail.models  # noqa: F401
import support.models  # noqa: F401
from retail.kernel.db import Base

LOCK = 7_463_851_120_394  # any number that nothing else uses

engine = create_engine(context.config.get_main_option("sqlalchemy.url") or "", poolclass=pool.NullPool)
with engine.connect() as connection:
    # Session level, so that it outlives each migration's own transaction.
    connection.execute(text("SELECT pg_advisory_lock(:lock)"), {"lock": LOCK})
    connection.execute(text("SET lock_timeout = '5s'"))
    connection.execute(text("SET statement_timeout = '10min'"))
    connection.commit()
    try:
        context.configure(
            connection=connection,
            target_metadata=Base.metadata,
            compare_server_default=True,
            transaction_per_migration=True,
        )
        with context.begin_transaction():
            context.run_migrations()
    finally:
        if connection.in_transaction():
            connection.rollback()
        connection.execute(text("SELECT pg_advisory_unlock(:lock)"), {"lock": LOCK})
        connection.commit()
