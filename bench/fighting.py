"""One run of `retail prove oversell`: a scratch shop with one article, the fight, the count, the audit, the verdict."""

import os
import secrets
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import text

from bench import data, prove, shop
from bench.data import Size
from retail.kernel import db
from retail.kernel.config import Settings
from retail.kernel.web_process import free_port

_COUNT = text(
    """
    SELECT (SELECT on_hand FROM stock_level) AS on_hand, (SELECT allocated FROM stock_level) AS allocated,
           (SELECT coalesce(sum(quantity), 0) FROM order_line) AS ordered, (SELECT count(*) FROM "order") AS orders,
           (SELECT count(*) FROM reservation WHERE expires_at IS NOT NULL) AS holds,
           (SELECT count(*) FROM reservation WHERE state = 'expired') AS expired
    """
)


def oversell(
    settings: Settings, *, buyers: int, units: int, seed: int, kill: bool, folder: Path, tell: Callable[[str], None]
) -> bool:
    """Run the proof in the empty, migrated database of `settings`; `tell` gets each line. Returns the verdict."""
    folder.mkdir(parents=True, exist_ok=True)
    size = Size(stores=1, skus=1, customers=1, orders=0, stock=units)
    data.build(settings.database_url, size)
    shop.people(settings.database_url)
    environment = {
        "DATABASE_URL": settings.database_url,
        "RETAIL_ENV": "production",
        "SECRET_KEY": secrets.token_hex(32),
        "LOG_LEVEL": "WARNING",
    }
    wishes = prove.wishes(buyers, units, seed)
    two_lines = sum(len(wish.lines) > 1 for wish in wishes)
    holding = sum(wish.holds for wish in wishes)
    tell(f"{buyers} buyers want {sum(wish.units for wish in wishes)} units, there are {units}")
    tell(f"{two_lines} carts hold the article on two lines, {holding} buyers hold the stock before they buy")
    tally = prove.fight(
        environment=environment,
        port=free_port(),
        log=folder / "prove-oversell.log",
        token=shop.CLIENT_KEY,
        sku="SKU-1",
        store="S001",
        buyers=wishes,
        run=secrets.token_hex(4),
        kill=kill,
        tell=tell,
    )
    with db.reading() as session:
        count = session.execute(_COUNT).one()
    for line in tally.unexpected[:10]:
        tell(f"unexpected: {line}")
    tell(
        f"confirmed  {tally.confirmed_units} units in {len(tally.confirmed_orders)} orders ({tally.replayed} answers were replays)"
    )
    tell(f"refused    {tally.refused} buyers, {tally.walked_away} walked away from their hold")
    tell(f"errors     {sum(tally.errors.values())} answers missing and asked again {dict(tally.errors)}")
    tell(f"holds      {count.holds} made, {count.expired} expired")
    tell(
        f"latency    p50 {tally.quantile_ms(0.5):.1f} ms, p99 {tally.quantile_ms(0.99):.1f} ms over {len(tally.latencies)} answers"
    )
    tell(
        f"database   on hand {count.on_hand}, allocated {count.allocated}, ordered {count.ordered} in {count.orders} orders"
    )
    audit = subprocess.run(
        [str(Path(sys.executable).parent / "retail"), "audit"],
        env=dict(os.environ) | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    tell("audit      " + (audit.stdout.strip().splitlines() or [audit.stderr.strip()[-500:]])[-1])
    verdict = (
        not tally.unexpected
        and tally.confirmed_units == units == count.allocated == count.ordered
        and len(tally.confirmed_orders) == count.orders
        and audit.returncode == 0
    )
    tell("proved: exactly every unit was sold, none twice" if verdict else "NOT proved")
    return verdict
