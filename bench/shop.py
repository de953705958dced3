"""The shop that is measured: built once per size and schema, kept as a template, and copied for each run."""

import hashlib
from pathlib import Path

import sqlalchemy as sa

from bench import data
from bench.data import Size
from retail.kernel import auth, migrate, scratch
from retail.kernel.config import Settings

CLIENT_KEY = "rk_bench-client-key-that-opens-only-a-scratch-database"
AGENT_TOKEN = "st_bench-agent-token-that-opens-only-a-scratch-database"  # noqa: S105


def template_for(at: scratch.Server, size: Size) -> str:
    """The name of a database that holds the shop of this size at this schema; built when missing, kept for next time."""
    schema = b"".join(path.read_bytes() for path in sorted((migrate.FOLDER / "versions").glob("*.py")))
    schema += Path(data.__file__).read_bytes() + Path(__file__).read_bytes()
    digest = hashlib.sha256(schema + repr(size).encode()).hexdigest()[:12]
    name = f"retail_bench_{digest}"
    if not at.exists(name):
        building = f"{name}_building"
        at.drop(building)
        at.create(building)
        made = at.scratch(building)
        migrate.upgrade(Settings(database_url=made.url))
        data.build(made.url, size)
        people(made.url)
        at.rename(building, name)
    return name


_PEOPLE = (
    "INSERT INTO api_client (id, name, channel_code, scopes, created_at) VALUES (bench_id(30, 1), 'bench', 'web', :scopes, now())",
    "INSERT INTO token (hash, kind, client_id, created_at) VALUES (:client_hash, 'api_key', bench_id(30, 1), now())",
    "INSERT INTO staff (id, login, name, password_hash, role, created_at) VALUES (bench_id(31, 1), 'bench', 'Agent', '-', 'agent', now())",
    (
        "INSERT INTO token (hash, kind, staff_id, created_at, expires_at) "
        "VALUES (:agent_hash, 'access', bench_id(31, 1), now(), now() + interval '10 years')"
    ),
)


def people(url: str) -> None:
    """The API client and the agent whose tokens the load generator carries."""
    scopes = [
        "catalog.read",
        "stores.read",
        "stock.read",
        "carts.write",
        "points.spend_for",
        "orders.place",
        "orders.read",
        "customers.read",
    ]
    params = {"scopes": scopes, "client_hash": auth.token_hash(CLIENT_KEY), "agent_hash": auth.token_hash(AGENT_TOKEN)}
    engine = sa.create_engine(url)
    try:
        with engine.begin() as connection:
            for statement in _PEOPLE:
                names = {name: value for name, value in params.items() if f":{name}" in statement}
                connection.execute(sa.text(statement), names)
    finally:
        engine.dispose()
