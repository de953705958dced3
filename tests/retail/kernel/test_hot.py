"""Hot statements: the session's transaction, SQLAlchemy's errors, the session's count; only faster."""

from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import text
from sqlalchemy.orm import Session

from retail.kernel import db
from retail.kernel.hot import Hot, NotOneRow

INSERT = Hot(
    "INSERT INTO rate_limit (bucket, window_at, hits) VALUES (:bucket, now(), :hits) RETURNING bucket, hits AS n"
)
MANY = Hot(
    "SELECT n, n, CAST(n AS text) || '%' AS shown FROM generate_series(1, :most) AS n WHERE n <> :most - 1 ORDER BY n"
)
NOTHING = Hot("UPDATE rate_limit SET hits = hits WHERE bucket = :bucket")


def test_rows_are_named_and_asked_like_sqlalchemys(session: Session) -> None:
    rows = MANY.run(session, {"most": 3})
    assert [tuple(row) for row in rows.all()] == [(1, 1, "1%"), (3, 3, "3%")]
    assert [row.shown for row in rows] == ["1%", "3%"]
    assert MANY.run(session, {"most": 1, "extra": "ignored"}).one().n == 1
    assert MANY.run(session, {"most": 0}).one_or_none() is None
    assert MANY.run(session, {"most": 0}).scalar_one_or_none() is None
    assert MANY.run(session, {"most": 1}).scalar_one() == 1
    with pytest.raises(NotOneRow, match="2 rows"):
        rows.one()
    with pytest.raises(NotOneRow, match="0 rows"):
        MANY.run(session, {"most": 0}).scalar_one()
    assert NOTHING.run(session, {"bucket": "none"}) == []


def test_it_runs_in_the_sessions_transaction(session: Session) -> None:
    with pytest.raises(KeyError), db.transaction() as inner:
        assert tuple(INSERT.run(inner, {"bucket": "a", "hits": 1}).one()) == ("a", 1)
        raise KeyError
    assert session.execute(text("SELECT count(*) FROM rate_limit")).scalar_one() == 0
    with db.transaction() as inner:
        INSERT.run(inner, {"bucket": "a", "hits": 1})
    assert session.execute(text("SELECT count(*) FROM rate_limit")).scalar_one() == 1


def test_it_is_counted(session: Session) -> None:
    with db.counting() as count:
        MANY.run(session, {"most": 3})
    assert count.statements == 1
    assert count.seconds > 0


@pytest.mark.parametrize(
    ("params", "error"),
    [({"bucket": "a", "hits": None}, sa.exc.IntegrityError), ({"bucket": "a", "hits": 2**40}, sa.exc.DataError)],
)
def test_refusals_are_sqlalchemys_and_carry_no_parameters(
    session: Session, params: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error) as caught, session.begin_nested():
        INSERT.run(session, params)
    assert "INSERT INTO rate_limit" in str(caught.value)
    assert "parameters" not in str(caught.value)


@pytest.mark.committed
@pytest.mark.parametrize("opening", [db.transaction, db.reading])
def test_a_cut_connection_is_a_disconnect_and_is_not_used_again(opening: Callable[[], Any], session: Session) -> None:
    for _ in range(2):
        with pytest.raises(sa.exc.DBAPIError) as caught, opening() as inner:
            own = Hot("SELECT pg_backend_pid() AS pid").run(inner, {}).one().pid
            session.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": own})
            MANY.run(inner, {"most": 1})
        assert db.is_disconnect(caught.value)
    with opening() as inner:
        assert MANY.run(inner, {"most": 1}).one().n == 1
