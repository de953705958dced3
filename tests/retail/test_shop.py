"""Replays: a database of their own that disappears, or the shop's; the audit's verdict and the exit status."""

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

KIND = "retail_replay_nothing"


def databases() -> list[str]:
    """The scratch databases of this file; other workers on the same server have theirs. Asked on no connection that lasts: a replay replaces the engine."""
    with db.reading() as session:
        listed = session.execute(text("SELECT datname FROM pg_database WHERE datname LIKE :kind"), {"kind": f"{KIND}%"})
        return list(listed.scalars())


def judged(*, here: bool, fault: str = "", differs: bool = False) -> tuple[Result, dict[str, str | None]]:
    """A replay that makes one row, as a command; and which database it was in."""
    seen: dict[str, str | None] = {}

    def divergences(session: Session) -> Iterator[Divergence]:
        seen["audited"] = session.execute(text("SELECT current_database()")).scalar_one()
        if differs:
            yield Divergence("stock_level", "TEA", "1", "2")

    @click.command()
    def nothing() -> None:
        shop = Shop(app.wire, (), (divergences,))
        with shop.replaying("nothing", here=here) as verdict:
            assert isinstance(verdict, Verdict)
            with db.transaction() as session:
                seen["database"] = session.execute(text("SELECT current_database()")).scalar_one()
                factories.taxes(session)
            if fault:
                verdict.fault(fault)

    return CliRunner().invoke(nothing, catch_exceptions=False), seen


@pytest.mark.committed
@pytest.mark.usefixtures("database")
def test_a_replay_has_a_database_of_its_own_that_disappears() -> None:
    before, found_at = config.current(), db.engine().url
    result, seen = judged(here=False)
    assert (result.exit_code, result.output) == (0, "Everything agrees with its history.\n")
    assert seen["database"] == seen["audited"]
    assert str(seen["database"]).startswith(f"{KIND}_")
    assert databases() == []
    with db.reading() as session:
        assert session.execute(text("SELECT count(*) FROM tax_class")).scalar_one() == 0
    assert (config.current(), db.engine().url) == (before, found_at)


def test_here_it_is_the_shops_own(session: Session) -> None:
    result, seen = judged(here=True)
    assert (result.exit_code, result.output) == (0, "Everything agrees with its history.\n")
    assert seen["database"] == seen["audited"] == session.execute(text("SELECT current_database()")).scalar_one()
    assert session.execute(text("SELECT count(*) FROM tax_class")).scalar_one() == 3


@pytest.mark.usefixtures("session")
def test_what_differs_is_told_and_ends_with_one() -> None:
    told = "stock_level: 1 row differs\n  TEA: stored 1; its history says 2\n"
    result, _ = judged(here=True, differs=True)
    assert (result.exit_code, result.output) == (1, told)
    result, _ = judged(here=True, differs=True, fault="two units are missing")
    assert (result.exit_code, result.output) == (1, told + "Wrong: two units are missing\n")
    result, _ = judged(here=True, fault="two units are missing")
    assert (result.exit_code, result.output) == (
        1,
        "Everything agrees with its history.\nWrong: two units are missing\n",
    )


@pytest.mark.committed
@pytest.mark.usefixtures("database")
def test_a_replay_that_fails_leaves_nothing_behind() -> None:
    shop = Shop(app.wire, (), ())
    with pytest.raises(ZeroDivisionError), shop.replaying("nothing", here=False):
        assert len(databases()) == 1
        raise ZeroDivisionError
    assert databases() == []


@pytest.mark.committed
@pytest.mark.usefixtures("database")
def test_what_a_killed_replay_left_is_dropped_by_the_next(settings: Settings) -> None:
    server = scratch.Server(settings.database_url)
    old, young, used = (f"{KIND}_{clock.now() - timedelta(hours=hours):%Y%m%d%H%M%S}_0{hours}" for hours in (2, 0, 3))
    others = "retail_replay_nothing_more"
    for name in (old, young, used, others):
        server.create(name)
    engine = sa.create_engine(server.scratch(used).url)
    try:
        with engine.connect():
            assert server.drop_abandoned(KIND) == [old]
        assert sorted(databases()) == sorted([young, used, others])
    finally:
        engine.dispose()
        for name in (old, young, used, others):
            server.drop(name)


def test_a_server_that_is_not_there_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(db, "is_configured", lambda: False)
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    replay = Shop(app.wire, (), ()).replaying("nothing", here=False)
    with pytest.raises(click.ClickException, match="The database cannot be reached"), replay:
        pass
