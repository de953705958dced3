"""The benches run, with tiny figures, and count right; how fast they are is for a quiet machine to say."""

import json
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from app import create_app
from bench import expiry, hot, measure, orders, pgbench, points, shop, till
from bench.data import Size
from retail.kernel import config, db, embedded, scratch
from retail.kernel.config import Settings
from tests.loyalty.ledger_facts import customer_with

SIZE = Size(stores=1, skus=1, customers=30, orders=1, stock=10)


@pytest.fixture
def server(settings: Settings, tmp_path: Path) -> Iterator[scratch.Server]:
    """The tests' server, with pgbench; this process is put back on the tests' database afterwards."""
    found = shutil.which("pgbench")
    programs = Path(found).parent if found else embedded.place.wheel_binaries()
    yield scratch.Server(settings.database_url, programs)
    config.use(settings)
    db.configure(settings)


def test_a_route_and_its_limit_do_what_is_measured(
    server: scratch.Server, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both go stale easily: the limits are our statements with their parameters written out, and nobody else runs them."""
    monkeypatch.setattr(orders, "ROUNDS_MOST", 1)
    size = Size(stores=2, skus=6, customers=20, orders=1, stock=10_000)
    parts = (
        (lambda *_: None, measure.scenarios),
        (till.prepare, till.uploads),
        (orders.prepare_split, orders.split),
        (orders.prepare_refunds, orders.refund),
    )
    template = shop.template_for(server, size)
    for prepare, scenarios in parts:
        with scratch.database(server, "retail_test_bench", template) as made:
            prepare(made.url, size)
            there = replace(settings, database_url=made.url)
            config.use(there)
            client = create_app(there).test_client()
            for scenario in scenarios(size, secrets.token_hex(4)):
                head, _, body = scenario.request(1).partition(b"\r\n\r\n")
                first, *rest = head.decode().split("\r\n")
                method, path, _ = first.split(" ")
                answer = client.open(path, method=method, headers=[line.split(": ", 1) for line in rest], data=body)
                assert answer.status_code == scenario.expect, (scenario.name, answer.text)
                _limit(made, scenario.limit)
            if scenarios is measure.scenarios:
                _limit(made, hot.one_unit(), counter=10_000_000)  # its own keys
            db.dispose()
    server.drop(template)


def _limit(made: scratch.Scratch, script: str, *, counter: int = 7) -> None:
    program = made.program("pgbench")
    found = pgbench.run(script, pgbench=program, environment=made.libpq, clients=1, seconds=1, counter=counter)
    assert found.per_second > 0


def test_hold_burn_and_earn_beside_pgbench(server: scratch.Server, tmp_path: Path) -> None:
    said: list[str] = []
    found = points.measure(server, size=SIZE, clients=2, rounds=1, seconds=1, tell=said.append)
    many, one = found
    assert (many.least, one.least, len(said)) == (0.35, None, 2)
    assert min(many.ours_per_s, many.limit_per_s, one.ours_per_s, one.limit_per_s) > 0
    assert replace(many, ratio=0.34).missed == "hold + burn + earn: ratio 0.34 < 0.35"
    assert replace(one, ratio=0.01).missed is None
    points.write_json(found, tmp_path / "bench-points.json")
    assert [figure["name"] for figure in json.loads((tmp_path / "bench-points.json").read_text())] == [
        "hold + burn + earn",
        "hold + burn of one member by all",
    ]
    server.drop(shop.template_for(server, SIZE))


def test_expiry_beside_checkouts(server: scratch.Server, tmp_path: Path) -> None:
    found = expiry.measure(server, lots=500, alone_s=0.3, tell=lambda _: None)
    assert (found.members, found.lots + found.left) == (100, 500)
    assert found.alone.checkouts > 0
    assert found.lots_per_s > 0
    expiry.write_json(found, tmp_path / "bench-expiry.json")
    assert json.loads((tmp_path / "bench-expiry.json").read_text())["members"] == 100


@pytest.mark.committed
def test_books_that_differ_end_the_bench(session: Session, settings: Settings, now: datetime) -> None:
    customer_with(session, (200, now))
    points._audit(settings.database_url)
    session.execute(sa.text("UPDATE points_lot SET remaining = 1"))
    with pytest.raises(points.BooksDiffer, match="remaining 1, rebuilt remaining 200"):
        points._audit(settings.database_url)
