"""`retail prove oversell`: real buyers over HTTP fight for the last units while the web server is killed; nothing is sold twice.

Every buyer is a thread with its own connection: a cart of one or two units (a part of them as two lines of the same
SKU), a part of them holding the stock first and some of those walking away, so that holds expire; then an order with an
Idempotency-Key, repeated with the same key for as long as the server gives no answer. In the middle the whole web server
is killed with SIGKILL and started again. At the end the units that buyers were told they have must equal the units
there were, and what the database says, and `retail audit` must be clean.
"""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from retail.kernel.web_process import WebServer, start_web

HOLD_SECONDS = 3
PATIENCE_SECONDS = 90


@dataclass(slots=True)
class Tally:
    """What all buyers saw. Units confirmed, buyers refused, transport errors that were retried, seconds per answer."""

    confirmed_units: int = 0
    confirmed_orders: set[str] = field(default_factory=set)
    refused: int = 0
    walked_away: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    replayed: int = 0
    latencies: list[float] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def quantile_ms(self, share: float) -> float:
        """The latency in milliseconds that `share` of the answers did not exceed."""
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1000 if ordered else 0.0


@dataclass(frozen=True, slots=True)
class Wish:
    """How one buyer behaves."""

    number: int
    lines: tuple[int, ...]  # units per line, all of the same SKU
    holds: bool
    walks_away: bool

    @property
    def units(self) -> int:
        """Units over all lines."""
        return sum(self.lines)


def wishes(buyers: int, units: int, seed: int) -> list[Wish]:
    """The buyers of one run: a third with two lines, a third holding first; a tenth hold first of all and never come back.

    Those who want a single unit and stay are at least `units` many, so that the last unit finds a buyer.
    """
    dice = random.Random(seed)
    leaving = min(buyers // 10, buyers - units)
    made = [Wish(number, (1,), holds=True, walks_away=True) for number in range(leaving)]
    for number in range(leaving, buyers):
        single = number - leaving < units
        lines = (1,) if single else dice.choice([(1,), (1, 1), (2,)])
        made.append(Wish(number, lines, holds=dice.random() < 1 / 3, walks_away=False))
    staying = made[leaving:]
    dice.shuffle(staying)
    return made[:leaving] + staying


class Buyer(threading.Thread):
    """One customer's fight for the article."""

    def __init__(
        self, wish: Wish, *, base: str, token: str, sku: str, store: str, run: str, tally: Tally, start: threading.Event
    ) -> None:
        super().__init__(name=f"buyer-{wish.number}", daemon=True)
        self.wish, self.base, self.sku, self.store, self.tally, self.begin = wish, base, sku, store, tally, start
        self.run_id = run
        self.headers = {"Authorization": f"Bearer {token}"}
        self.deadline = 0.0

    def run(self) -> None:
        """Buy, be refused, or walk away; never raises."""
        self.begin.wait()
        self.deadline = time.monotonic() + PATIENCE_SECONDS
        try:
            with httpx.Client(base_url=self.base, headers=self.headers, timeout=20) as client:
                self.client = client
                self.buy()
        except Exception as error:  # noqa: BLE001 - whatever it was, it belongs into the verdict
            with self.tally.lock:
                self.tally.unexpected.append(f"{self.name}: {type(error).__name__}: {error}")

    def buy(self) -> None:
        """The whole visit."""
        lines = [{"sku": self.sku, "quantity": quantity} for quantity in self.wish.lines]
        body = {"lines": lines, "location": self.store, "method": "pickup"}
        cart = self.post("/api/v1/carts", body, "cart")
        if cart.status_code != 201:
            raise RuntimeError(f"no cart: {cart.status_code} {cart.text[:300]}")
        cart_id = cart.json()["id"]
        attempt = 0
        while True:
            attempt += 1
            if self.wish.holds:
                held = self.post(f"/api/v1/carts/{cart_id}/hold", {"seconds": HOLD_SECONDS}, f"hold-{attempt}")
                if held.status_code == 201 and self.wish.walks_away:
                    with self.tally.lock:
                        self.tally.walked_away += 1
                    return
                if held.status_code == 201 and attempt == 1 and self.wish.number % 2:
                    time.sleep(HOLD_SECONDS + 0.5)  # comes back too late: the hold has expired
            order = self.post(
                "/api/v1/orders",
                {
                    "cart_id": cart_id,
                    "payment": {"method": "pay_at_pickup"},
                    "contact": {"name": self.name, "email": f"{self.name}@example.com"},
                },
                f"order-{attempt}",
            )
            if order.status_code == 201:
                with self.tally.lock:
                    self.tally.confirmed_units += sum(line["quantity"] for line in order.json()["lines"])
                    self.tally.confirmed_orders.add(order.json()["reference"])
                    self.tally.replayed += order.headers.get("Idempotent-Replayed") == "true"
                return
            if order.status_code != 409 or order.json()["code"] != "out_of_stock":
                raise RuntimeError(f"no order: {order.status_code} {order.text[:300]}")
            if self.sold_out() or time.monotonic() > self.deadline:
                with self.tally.lock:
                    self.tally.refused += 1
                return
            time.sleep(0.3)

    def sold_out(self) -> bool:
        """Whether waiting is useless: what is not allocated cannot serve this buyer even when every hold expires."""
        answer = self.ask(
            lambda: self.client.get("/api/v1/availability", params={"sku": self.sku, "location": self.store})
        )
        if answer.status_code != 200:
            raise RuntimeError(f"no availability: {answer.status_code} {answer.text[:300]}")
        place = answer.json()["items"][0]["locations"][0]
        return bool(place["on_hand"] - place["allocated"] < self.wish.units)

    def post(self, path: str, body: Mapping[str, object], step: str) -> httpx.Response:
        """POST with this step's own key, the same key for every repeat."""
        key = f"{self.run_id}-{self.wish.number}-{step}"
        return self.ask(lambda: self.client.post(path, json=body, headers={"Idempotency-Key": key}))

    def ask(self, send: Callable[[], httpx.Response]) -> httpx.Response:
        """Send until there is an answer: a dead server and 503 are tried again, as any client of ours should."""
        while True:
            begun = time.perf_counter()
            try:
                answer = send()
            except httpx.TransportError as error:
                self.note(type(error).__name__)
            else:
                if answer.status_code == 503 or (
                    answer.status_code == 409 and answer.json().get("code") == "idempotency_in_progress"
                ):
                    self.note(f"{answer.status_code}")
                else:
                    with self.tally.lock:
                        self.tally.latencies.append(time.perf_counter() - begun)
                    return answer
            if time.monotonic() > self.deadline:
                raise RuntimeError("gave up: the server did not come back")
            time.sleep(0.2)

    def note(self, what: str) -> None:
        """Count an answer that did not come."""
        with self.tally.lock:
            self.tally.errors[what] += 1


def fight(
    *,
    environment: Mapping[str, str],
    port: int,
    log: Path,
    token: str,
    sku: str,
    store: str,
    buyers: list[Wish],
    run: str,
    kill: bool = True,
    tell: Callable[[str], None] = lambda _: None,
) -> Tally:
    """Let all buyers loose on a fresh web server and kill it once a part of the units is sold. Returns what they saw."""
    tally, start = Tally(), threading.Event()
    server: WebServer = start_web(environment=environment, port=port, log=log)
    try:
        threads = [
            Buyer(wish, base=server.base, token=token, sku=sku, store=store, run=run, tally=tally, start=start)
            for wish in buyers
        ]
        leaving = [thread for thread in threads if thread.wish.walks_away]
        start.set()
        for thread in leaving:  # their holds stand before the others come
            thread.start()
        for thread in leaving:
            thread.join()
        for thread in threads:
            if thread not in leaving:
                thread.start()
        if kill:
            while len(tally.confirmed_orders) < max(1, len(buyers) // 20) and any(t.is_alive() for t in threads):
                time.sleep(0.01)
            tell(f"kill -9 of the web server with {len(tally.confirmed_orders)} orders confirmed")
            server.kill()
            server = start_web(environment=environment, port=port, log=log)
            tell("web server started again")
        for thread in threads:
            thread.join()
    finally:
        server.stop()
    return tally
