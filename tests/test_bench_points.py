"""The benches of points run, with tiny figures, and count right; how fast they are is for a quiet machine to say."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from bench import expiry, points, shop
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
