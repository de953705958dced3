"""A replay from beginning to end: the shop is built, a real web server runs it, the week goes by, the books are compared."""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter

from inventory.queries.replay import store_balances
from orders.queries import replay as queries
from orders.replay import cards as card_network
from orders.replay.online_retail import account as accounts
from orders.replay.online_retail import setting_up
from orders.replay.online_retail.account import Account
from orders.replay.online_retail.living import Life
from orders.replay.online_retail.week import Week
from retail.kernel import config, db
from retail.kernel.progress import Tell
from retail.kernel.web_process import web

STEPS = {
    "reading": "Reading the file",
    "products": "Products",
    "opening": "Opening stock",
    "living": "Invoices",
    "checking": "Checking",
}


def run(week: Week, *, fill_percent: int, cards: bool, tell: Tell) -> Account:
    """Replay it into the database at hand, which must be empty. Opens its own transactions."""
    floor = setting_up.build(week, fill_percent=fill_percent, cards=cards, tell=tell)
    with tempfile.TemporaryDirectory() as name, _cards(Path(name), wanted=cards) as paying:
        settings = config.current()
        environment = {"DATABASE_URL": settings.database_url, "SECRET_KEY": settings.secret_key, **paying}
        with web(environment=environment, log=Path(name) / "web.log", workers=1) as server:
            life = Life(server.base, floor, cards=cards)
            started = perf_counter()
            life.live(week, tell)
            life.account.seconds = perf_counter() - started
    tell("checking", 0, 0)
    account = life.account
    with db.snapshot() as session:
        charged = queries.captured_of(session, order_ids=list(account.orders))
        refunded = queries.refunded_of(session, return_ids=list(account.returns))
        waiting = queries.entries_waiting(session)
        places = store_balances(session, location_ids=list(floor.locations.values()))
    accounts.settle(account, week, opened=floor.opened, charged=charged, refunded=refunded, places=places)
    if waiting:
        account.faults.append(f"{waiting} questions to the card network have no answer")
    return account


@contextmanager
def _cards(folder: Path, *, wanted: bool) -> Iterator[Mapping[str, str]]:
    if not wanted:
        yield card_network.NONE
        return
    with card_network.network(log=folder / "cards.log") as environment:
        yield environment
