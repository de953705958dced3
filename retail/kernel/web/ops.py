"""`/healthz` (alive), `/readyz` (database, migrations, worker), `/metrics` (Prometheus)."""

import json
from datetime import timedelta

from flask import Blueprint, Response
from prometheus_client import CONTENT_TYPE_LATEST, Gauge, generate_latest
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from retail.kernel import clock, db
from retail.kernel.worker import HEARTBEAT_LATE_SECONDS

PENDING = Gauge("retail_deliveries_pending", "Deliveries that are due and not done")
DEAD = Gauge("retail_deliveries_dead", "Deliveries that were given up")
WORKERS = Gauge("retail_workers_alive", "Workers seen lately")

_STATE = text(
    """
    SELECT (SELECT count(*) FROM worker_heartbeat WHERE seen_at > :since) AS workers,
           (SELECT count(*) FROM (SELECT 1 FROM delivery WHERE state = 'pending' AND next_at <= :now LIMIT 10000) AS due) AS pending,
           (SELECT count(*) FROM (SELECT 1 FROM delivery WHERE state = 'dead' LIMIT 10000) AS dead) AS dead
    """
)


def blueprint(head: str) -> Blueprint:
    """The three routes. `head` is the migration this version of the code needs."""
    ops = Blueprint("ops", __name__)

    @ops.get("/healthz")
    def healthz() -> Response:
        """Alive: the process answers."""
        return _json({"status": "ok"}, 200)

    @ops.get("/readyz")
    def readyz() -> Response:
        """Ready: 200 when the database answers at the right migration; a late worker is reported, not fatal."""
        checks: dict[str, str] = {}
        try:
            with db.reading() as session:
                version = session.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()
                row = session.execute(
                    _STATE, {"since": clock.now() - timedelta(seconds=HEARTBEAT_LATE_SECONDS), "now": clock.now()}
                ).one()
        except SQLAlchemyError:
            return _json({"status": "unavailable", "checks": {"database": "unreachable"}}, 503)
        checks["database"] = "ok"
        checks["migrations"] = "ok" if version == head else f"at {version}, needs {head}"
        checks["worker"] = "ok" if row.workers else "late"
        ready = version == head
        status = "ok" if ready and row.workers else "degraded" if ready else "unavailable"
        return _json(
            {"status": status, "checks": checks, "deliveries": {"pending": row.pending, "dead": row.dead}},
            200 if ready else 503,
        )

    @ops.get("/metrics")
    def metrics() -> Response:
        """Prometheus text format; the gauges of the outbox are read now."""
        try:
            with db.reading() as session:
                row = session.execute(
                    _STATE, {"since": clock.now() - timedelta(seconds=HEARTBEAT_LATE_SECONDS), "now": clock.now()}
                ).one()
            PENDING.set(row.pending)
            DEAD.set(row.dead)
            WORKERS.set(row.workers)
        except SQLAlchemyError:
            WORKERS.set(float("nan"))
        return Response(generate_latest(), content_type=CONTENT_TYPE_LATEST)

    return ops


def _json(payload: object, status: int) -> Response:
    return Response(json.dumps(payload), status, content_type="application/json")
