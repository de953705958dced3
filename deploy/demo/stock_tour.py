"""The tour's second part, in the stockroom: more is ordered than there is, a delivery comes short and broken, a count finds
less than the books say, and nobody's order is lost. Every sentence is checked before it is printed."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from deploy.demo import people, stockroom
from deploy.demo.telling import Caller, Say, Story, cell, check, until

STORE, WAREHOUSE, BELL = stockroom.STORE, stockroom.WAREHOUSE, stockroom.BELL
KEN = people.CUSTOMERS[1]
ASSOCIATE, MANAGER, ADMIN = people.STAFF[0], people.STAFF[1], people.STAFF[7]
SHOWN_MOVEMENTS = 9
SUPPLIER = "江戸川風鈴工房"


def run(*, http: httpx.Client, keys: Mapping[str, str], say: Say, number: int) -> int:
    """Tell it, counting the steps on from `number`; returns the last step's.

    Raises:
        TourStopped: something was not as told.
    """
    story = _Stockroom(http, keys, say, number)
    story.order_more_than_there_is()
    story.receive_less_than_announced()
    story.count_fewer_than_promised()
    story.send_from_the_warehouse()
    story.explain()
    return story.number


class _Stockroom(Story):
    """What is known so far of the wind bells in Shibuya."""

    def __init__(self, http: httpx.Client, keys: Mapping[str, str], say: Say, number: int) -> None:
        super().__init__(http, say, number)
        self.shop = Caller(http, people.STOREFRONT.name, keys[people.STOREFRONT.name])
        self.associate, self.manager = self.staff(ASSOCIATE), self.staff(MANAGER)
        self.cursor = str(self.shop.ask("GET", "/stock/changes")["next"])
        self.order: dict[str, Any] = {}
        self.delivery: dict[str, Any] = {}
        self.barcode = ""

    def at_store(self, **options: str) -> dict[str, Any]:
        """The bells' numbers in the store, as the storefront sees them."""
        params: dict[str, str | list[str]] = {"sku": BELL, "location": STORE, **options}
        found: dict[str, Any] = self.shop.ask("GET", "/availability", params=params)["items"][0]["locations"][0]
        return found

    def level(self) -> dict[str, Any]:
        """The same as the store sees it."""
        found: dict[str, Any] = self.associate.ask("GET", f"/stock/{STORE}/{BELL}")
        return found

    def shortages(self) -> list[dict[str, Any]]:
        """The promises of bells that wait in the store."""
        params: dict[str, str | list[str]] = {"location": STORE, "limit": "200"}
        rows = self.associate.ask("GET", "/stock/shortages", params=params)["items"]
        return [row for row in rows if row["sku"] == BELL]

    def waiting(self) -> list[tuple[str, int]]:
        """The same as (backordered or short, units)."""
        return [(row["state"], row["quantity"]) for row in self.shortages()]

    def tidy_up(self) -> None:
        """A tour that was broken off may have left an order or a delivery behind: they are called off."""
        for owner in {row["owner_id"] for row in self.shortages()}:
            self.manager.ask("POST", f"/orders/{owner}/cancellation", json={"reason": "tour"})
        params: dict[str, str | list[str]] = {"location": STORE, "state": "expected", "limit": "200"}
        for left in self.manager.ask("GET", "/inbound-shipments", params=params)["items"]:
            if left["supplier"] == SUPPLIER:
                self.manager.ask(
                    "POST", f"/inbound-shipments/{left['reference']}/cancellation", json={"reason": "tour"}
                )

    def order_more_than_there_is(self) -> None:
        self.step(f"{KEN.name} wants two wind bells more than Shibuya has, and is told when he gets them.")
        self.tidy_up()
        there = self.at_store()["available"]
        due = (datetime.now(UTC) + timedelta(days=1)).replace(microsecond=0)
        body = {
            "location": STORE,
            "supplier": SUPPLIER,
            "due_at": due.isoformat(),
            "lines": [{"sku": BELL, "expected": 5}],
        }
        self.delivery = self.manager.ask("POST", "/inbound-shipments", json=body, expect=201)
        self.tell(f"{there} are there; five more are announced for tomorrow ({self.delivery['reference']}).")
        order = {
            "lines": [{"sku": BELL, "quantity": there + 2}],
            "method": "pickup",
            "location": STORE,
            "contact": {"name": KEN.name, "email": people.email_of(KEN)},
            "payment": {"method": "pay_at_pickup"},
        }
        self.order = self.shop.ask("POST", "/orders", json=order, expect=201)
        check("Two of them wait", self.waiting(), [("backordered", 2)])
        promised = datetime.fromisoformat(self.order["fulfillments"][0]["ready_by"])
        check("He is told a moment after the delivery", promised >= due, True)
        now = self.at_store()
        check("Nothing is left to sell", now["available"], 0)
        later = self.at_store(at=(due + timedelta(minutes=1)).isoformat())
        check("What can be promised for tomorrow", later["available"], 3)
        self.tell(
            f"Order {self.order['reference']}: {there + 2} bells, ready by {promised:%Y-%m-%d %H:%M} UTC. Nothing is left today,"
        )
        self.tell("and three can be promised to others for tomorrow: five that come, less the two he waits for.")

    def receive_less_than_announced(self) -> None:
        self.step("The delivery comes: four of five, one of them broken. Who waited is served first.")
        self.barcode = str(self.shop.ask("GET", f"/variants/{BELL}")["barcodes"][0])
        path = f"/inbound-shipments/{self.delivery['reference']}/receipts"
        lines = [{"barcode": self.barcode, "quantity": 4, "damaged": 1}]
        done = self.associate.ask("POST", path, json={"lines": lines, "final": True}, expect=201)
        line = done["lines"][0]
        check("The delivery", (done["state"], line["difference"], line["damaged"]), ("received", -1, 1))
        check("Nobody waits any more", self.waiting(), [])
        now = self.at_store()
        check("Left to sell, and set aside", (now["available"], now["unavailable"] >= 1), (1, True))
        self.tell(
            f"Scanned {self.barcode}: 4 received, 1 broken and set aside, 1 never came (difference {line['difference']})."
        )
        self.tell("The order's two are there now; one bell is left for others.")

    def count_fewer_than_promised(self) -> None:
        self.step("A blind count finds two bells fewer than the books say: one of them was promised.")
        books = self.level()["on_hand"]
        body = {"location": STORE, "skus": [BELL], "approval_above": 1}
        count = self.manager.ask("POST", "/stock-counts", json=body, expect=201)
        path = f"/stock-counts/{count['reference']}"
        entry = {"lines": [{"barcode": self.barcode, "counted": books - 2}]}
        states = []
        for _ in range(2):
            count = self.associate.ask("POST", f"{path}/entries", json=entry)
            states.append(count["lines"][0]["state"])
        check("It is counted twice, then waits for the manager", states, ["recount", "approval"])
        self.associate.ask("POST", f"{path}/approval", json={"approve": True}, expect=403)
        count = self.manager.ask("POST", f"{path}/approval", json={"approve": True})
        check("The count", (count["state"], count["lines"][0]["difference"]), ("applied", -2))
        check("The books", self.level()["on_hand"], books - 2)
        check("One promise is short, and is not forgotten", self.waiting(), [("short", 1)])
        order = self.shop.ask("GET", f"/orders/{self.order['reference']}")
        check("The order stands", order["status"], "open")
        self.tell(
            f"The books said {books}, twice {books - 2} were counted; the manager let it through. The free bell is gone,"
        )
        self.tell("and of what was promised last, one is short: marked, listed and announced in the same transaction.")

    def send_from_the_warehouse(self) -> None:
        self.step("The warehouse sends three. The short promise is kept with the first of them.")
        admin = self.staff(ADMIN)
        body = {"from": WAREHOUSE, "to": STORE, "lines": [{"sku": BELL, "quantity": 3}]}
        transfer = admin.ask("POST", "/transfers", json=body, expect=201)
        path = f"/transfers/{transfer['reference']}"
        states = [transfer["state"], admin.ask("POST", f"{path}/ready")["state"]]
        states.append(admin.ask("POST", f"{path}/shipment", json={}, expect=201)["state"])
        arrived = {"lines": [{"sku": BELL, "quantity": 3}]}
        states.append(self.associate.ask("POST", f"{path}/receipts", json=arrived, expect=201)["state"])
        check("The transfer", states, ["draft", "ready", "in_transit", "received"])
        check("Nobody waits any more", self.waiting(), [])
        check("Left to sell", self.at_store()["available"], 2)
        self.tell(
            f"{transfer['reference']}: {', '.join(states)}. Everything that was promised is there; two are left to sell."
        )

    def explain(self) -> None:
        level = self.level()
        self.step(f"Why is on hand {level['on_hand']}? The history answers, movement by movement.")
        self.manager.ask("POST", f"/orders/{self.order['reference']}/cancellation", json={"reason": "tour"})
        params: dict[str, str | list[str]] = {"limit": "50"}
        history = self.associate.ask("GET", f"/stock/{STORE}/{BELL}/history", params=params)
        check("The history adds up", (history["explained"], history["on_hand"]), (True, self.level()["on_hand"]))
        for row in history["items"][:SHOWN_MOVEMENTS]:
            why = " ".join(filter(None, (row["cause"].replace("_", " "), row["reference"])))
            after = f"on hand {row['after']['on_hand']:>3}, promised {row['after']['allocated']:>3}"
            way = f"{row['from_bucket']} > {row['to_bucket']}"
            self.tell(f"{cell(why, 28)}{row['quantity']:>3}  {cell(way, 26)}{after}")
        seen = until("The storefront has followed", self._followed)
        check("What it follows is what is there", seen["on_hand"], self.level()["on_hand"])
        self.tell("The storefront followed all of it through the feed of changes, and missed none.")

    def _followed(self) -> dict[str, Any] | None:
        """The last word of the feed about the bells, once everything is final."""
        last = None
        while True:
            page = self.shop.ask("GET", "/stock/changes", params={"cursor": self.cursor})
            self.cursor = page["next"]
            mine = [item for item in page["items"] if (item["sku"], item["location"]["code"]) == (BELL, STORE)]
            last = mine[-1] if mine else last
            if not page["items"]:
                return last
