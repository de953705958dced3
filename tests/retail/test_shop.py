"""Replays: a database of their own that disappears, or the shop's; the audit's verdict and the exit status."""

import secrets
from collections.abc import Iterator
from datetime import timedelta

import click
import pytest
import sqlalchemy as sa
from click.testing import CliRunner, Result
from sqlalchemy import text
from sqlalchemy.orm import Session

import app
from retail.audit import Divergence
from retail.kernel import clock, config, db, scratch
from retail.kernel.config import Settings
from retail.shop import Shop, Verdict
from tests import factories


@pytest.fixture
def name() -> str:
    """A replay of this very test's own: pytest's workers share one server, and would count each other's databases."""
    return f"nothing_{secrets.token_hex(4)}"


def databases(name: str) -> list[str]:
    """The scratch databases of this replay. Asked on no connection that lasts: a replay replaces the engine."""
    listed = text("SELECT datname FROM pg_database WHERE starts_with(datname, :kind)")
    with db.reading() as session:
        return list(session.execute(listed, {"kind": f"retail_replay_{name}"}).scalars())


def judged(name: str, *, here: bool, fault: str = "", differs: bool = False) -> tuple[Result, dict[str, str | None]]:
    """A replay that makes one row, as a command; and which database it was in."""
    seen: dict[str, str | None] = {}

    def divergences(session: Session) -> Iterator[Divergence]:
        seen["audited"] = session.execute(text("SELECT current_database()")).scalar_one()
        if differs:
            yield Divergence("stock_level", "TEA", "1", "2")

    @click.command()
    def nothing() -> None:
        shop = Shop(app.wire, (), (divergences,))
        with shop.replaying(name, here=here) as verdict:
            assert isinstance(verdict, Verdict)
            with db.transaction() as session:
                seen["database"] = session.execute(text("SELECT current_database()")).scalar_one()
                factories.taxes(session)
            if fault:
                verdict.fault(fault)

    return CliRunner().invoke(nothing, catch_exceptions=False), seen


@pytest.mark.committed
@pytest.mark.usefixtures("database")
def test_a_replay_has_a_database_of_its_own_that_disappears(name: str) -> None:
    before, found_at = config.current(), db.engine().url
    result, seen = judged(name, here=False)
    assert (result.exit_code, result.output) == (0, "Everything agrees with its history.\n")
    assert seen["database"] == seen["audited"]
    assert str(seen["database"]).startswith(f"retail_replay_{name}_")
    assert databases(name) == []
    with db.reading() as session:
        assert session.execute(text("SELECT count(*) FROM tax_class")).scalar_one() == 0
    assert (config.current(), db.engine().url) == (before, found_at)


def test_here_it_is_the_shops_own(session: Session, name: str) -> None:
    result, seen = judged(name, here=True)
    assert (result.exit_code, result.output) == (0, "Everything agrees with its history.\n")
    assert seen["database"] == seen["audited"] == session.execute(text("SELECT current_database()")).scalar_one()
    assert session.execute(text("SELECT count(*) FROM tax_class")).scalar_one() == 3


@pytest.mark.usefixtures("session")
def test_what_differs_is_told_and_ends_with_one(name: str) -> None:
    told = "stock_level: 1 row differs\n  TEA: stored 1; its history says 2\n"
    result, _ = judged(name, here=True, differs=True)
    assert (result.exit_code, result.output) == (1, told)
    result, _ = judged(name, here=True, differs=True, fault="two units are missing")
    assert (result.exit_code, result.output) == (1, told + "Wrong: two units are missing\n")
    result, _ = judged(name, here=True, fault="two units are missing")
    assert (result.exit_code, result.output) == (
        1,
        "Everything agrees with its history.\nWrong: two units are missing\n",
    )


@pytest.mark.committed
@pytest.mark.usefixtures("database")
def test_a_replay_that_fails_leaves_nothing_behind(name: str) -> None:
    shop = Shop(app.wire, (), ())
    with pytest.raises(ZeroDivisionError), shop.replaying(name, here=False):
        assert len(databases(name)) == 1
        raise ZeroDivisionError
    assert databases(name) == []


@pytest.mark.committed
@pytest.mark.usefixtures("database")
def test_what_a_killed_replay_left_is_dropped_by_the_next(settings: Settings, name: str) -> None:
    server = scratch.Server(settings.database_url)
    kind = f"retail_replay_{name}"
    old, young, used = (f"{kind}_{clock.now() - timedelta(hours=hours):%Y%m%d%H%M%S}_0{hours}" for hours in (2, 0, 3))
    others = f"{kind}_more"
    for one in (old, young, used, others):
        server.create(one)
    engine = sa.create_engine(server.scratch(used).url)
    try:
        with engine.connect():
            assert server.drop_abandoned(kind) == [old]
        assert sorted(databases(name)) == sorted([young, used, others])
    finally:
        engine.dispose()
        for one in (old, young, used, others):
            server.drop(one)


def test_a_server_that_is_not_there_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(db, "is_configured", lambda: False)
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    replay = Shop(app.wire, (), ()).replaying("nothing", here=False)
    with pytest.raises(click.ClickException, match="The database cannot be reached"), replay:
        pass
