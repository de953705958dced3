"""The tour's third part: an order that does not go as planned. Paid with a gift card, changed by phone, short on the shelf, split
over two stores, partly exchanged at a third; one that is sent from two places; and two that nobody fetches. Every sentence is checked before it is printed."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import httpx

from deploy.demo import people
from deploy.demo.telling import Caller, Say, Story, check, money, until

STORE, OTHER, THIRD, WAREHOUSE = "SHIBUYA", "KYOTO", "SAPPORO", "KAWASAKI"
WANTED, ADDED, INSTEAD = "TEA-HOJICHA-80", "TEA-GENMAI-80", "TEA-MATCHA-80"
KEN = people.CUSTOMERS[1]
SHIBUYA, MANAGER, KYOTO, SAPPORO, AGENT, SUPERVISOR = people.STAFF[:6]
WORTH = 2000
POTTERY, STEM_TEA = "WARE-KYUSU-BIZEN", "TEA-KUKI-200"  # the one is in Kyoto alone, the other everywhere but there
CARD = "pm_card_visa"
HOME = {"postal_code": "530-0001", "region": "大阪府", "city": "大阪市北区", "line1": "梅田3-1-1", "country": "JP"}


def run(*, http: httpx.Client, keys: Mapping[str, str], say: Say, number: int) -> int:
    """Tell it, counting the steps on from `number`; returns the last one's.

    Raises:
        TourStopped: something was not as told.
    """
    story = _Orders(http, keys, say, number)
    story.pay_with_a_gift_card()
    story.change_it_by_phone()
    story.find_too_little()
    story.fetch_it_at_two_stores()
    story.exchange_at_a_third()
    story.ask_for_more_than_is_left()
    story.send_it_from_two_places()
    story.nobody_comes()
    story.nobody_came()
    return story.number


class _Orders(Story):
    """What is known so far of Ken's order."""

    def __init__(self, http: httpx.Client, keys: Mapping[str, str], say: Say, number: int) -> None:
        super().__init__(http, say, number)
        self.shop = Caller(http, people.STOREFRONT.name, keys[people.STOREFRONT.name])
        self.shibuya, self.kyoto, self.sapporo = self.staff(SHIBUYA), self.staff(KYOTO), self.staff(SAPPORO)
        self.agent = self.staff(AGENT)
        self.card: dict[str, Any] = {}
        self.order: dict[str, Any] = {}

    def now(self) -> dict[str, Any]:
        """The order as it stands."""
        found: dict[str, Any] = self.agent.ask("GET", f"/orders/{self.order['reference']}")
        return found

    def part(self, store: str) -> dict[str, Any]:
        """Its pickup at a store."""
        return next(part for part in self.now()["fulfillments"] if part["location"]["code"] == store)

    def line(self, sku: str) -> dict[str, Any]:
        """Its line of a SKU."""
        return next(line for line in self.now()["lines"] if line["sku"] == sku)

    def place(self, **more: Any) -> dict[str, Any]:
        """An order of Ken's by the web store, for pickup in Shibuya."""
        body = {"method": "pickup", "location": STORE, "payment": {"method": "pay_at_pickup"}}
        contact = {"contact": {"name": KEN.name, "email": people.email_of(KEN)}}
        made: dict[str, Any] = self.shop.ask("POST", "/orders", json=body | contact | more, expect=201)
        return made

    def prepare(self, staff: Caller, part: str) -> None:
        """Pick it and make it ready."""
        for step in ("picking", "ready"):
            staff.ask("POST", f"/pickups/{part}/{step}")

    def pay_with_a_gift_card(self) -> None:
        self.step(f"{KEN.name} was given a gift card. It pays a part of his order, the counter the rest.")
        supervisor = self.staff(SUPERVISOR)
        body = {"amount": {"amount_minor": WORTH, "currency": "JPY"}, "reason": "a present"}
        self.card = supervisor.ask("POST", "/gift-cards", json=body, expect=201)
        number = supervisor.ask("GET", f"/gift-cards/{self.card['id']}/number")["number"]
        self.order = self.place(lines=[{"sku": WANTED, "quantity": 3}], gift_cards=[number])
        total = self.order["total"]["amount_minor"]
        paid = {one["tender"]: (one["state"], one["amount"]["amount_minor"]) for one in self.order["payments"]}
        check("What pays", paid, {"gift_card": ("captured", WORTH), "pay_at_pickup": ("pending", total - WORTH)})
        left = self.shop.ask("POST", "/gift-cards/balance", json={"number": number})["balance"]
        check("The card is empty", left["amount_minor"], 0)
        self.tell(
            f"Order {self.order['reference']}: {money(self.order['total'])}, {money(self.card['balance'])} of it by"
        )
        self.tell(f"the card {number}. The number itself is stored nowhere: only its fingerprint is.")

    def change_it_by_phone(self) -> None:
        self.step(f"He calls: one more tea, please. {AGENT.name} adds it; stock, price and payment follow at once.")
        before = self.now()["total"]["amount_minor"]
        body = {"additions": [{"sku": ADDED, "quantity": 1}], "settlement": {"at_counter": True}}
        changed = self.agent.ask("POST", f"/orders/{self.order['reference']}/goods-changes", json=body)
        added = self.line(ADDED)["total"]["amount_minor"]
        check("It costs that much more", changed["total"]["amount_minor"] - before, added)
        change = self.agent.ask("GET", f"/orders/{self.order['reference']}/changes")["items"][-1]
        check("Written down", (change["kind"], change["difference"]["amount_minor"]), ("goods", added))
        self.tell(f"{self.line(ADDED)['title']} was added for {money(change['difference'])}, to be paid when he comes.")

    def find_too_little(self) -> None:
        self.step("In Shibuya the shelf holds one less than the books say. Nothing is lost: Kyoto has it.")
        part, line = self.part(STORE)["id"], self.line(WANTED)["id"]
        self.shibuya.ask("POST", f"/pickups/{part}/picking")
        missing = {"lines": [{"order_line_id": line, "quantity": 1}]}
        self.shibuya.ask("POST", f"/pickups/{part}/short", json=missing)
        aside = self.shibuya.ask("GET", f"/stock/{STORE}/{WANTED}")["unavailable"]
        body = {"resolution": "resource", "location": OTHER}
        self.agent.ask("POST", f"/pickups/{part}/shortfall-resolution", json=body)
        found = {
            one["location"]["code"]: sum(line["quantity"] - line["short"] for line in one["lines"])
            for one in self.now()["fulfillments"]
        }
        check("Units at each store", found, {STORE: 3, OTHER: 1})
        self.tell(
            f"Stock was told the truth, and {aside} more that the books call free were set aside until somebody looks."
        )
        self.tell(f"Three units wait in {STORE}, one in {OTHER}: one order, one price.")
        if aside:  # somebody looked: they lay one shelf further up
            seen = {"location": STORE, "sku": WANTED, "quantity": aside}
            self.shibuya.ask("POST", "/stock/restorations", json=seen, expect=201)

    def fetch_it_at_two_stores(self) -> None:
        self.step("He fetches both parts. The first counter takes what is still to be paid, and nobody takes it twice.")
        here, there = self.part(STORE)["id"], self.part(OTHER)["id"]
        self.shibuya.ask("POST", f"/pickups/{here}/ready")
        self.prepare(self.kyoto, there)
        due = self.shibuya.ask("GET", f"/pickups/{here}")["due"]
        proof = {"identity": "driving license"}
        self.shibuya.ask("POST", f"/pickups/{here}/collection", json=proof | {"tender": "cash"})
        check("Half of it is not all of it", self.now()["status"], "ready")
        self.kyoto.ask("POST", f"/pickups/{there}/collection", json=proof | {"tender": "cash"}, expect=422)
        self.kyoto.ask("POST", f"/pickups/{there}/collection", json=proof)
        order = self.now()
        captured = sum(one["captured"]["amount_minor"] for one in order["payments"])
        check("Paid, to the yen", (order["status"], captured), ("completed", order["total"]["amount_minor"]))
        self.tell(f"{money(due)} in cash in {STORE}; {OTHER} asks for nothing, and is refused if it does.")

    def exchange_at_a_third(self) -> None:
        self.step(f"In {THIRD} he swaps one tea for a finer one, over the counter, and pays the difference.")
        old = self.line(ADDED)
        wish = {"order_line_id": old["id"], "quantity": 1, "new_sku": INSTEAD}
        body = {"order": self.order["reference"], "lines": [wish], "location": THIRD}
        back = self.sapporo.ask("POST", "/exchanges", json=body, expect=201)
        path = f"/returns/{back['reference']}"
        self.sapporo.ask("POST", f"{path}/receipt", json={"location": THIRD})
        found = [{"return_line_id": back["lines"][0]["id"], "outcomes": [{"condition": "sellable", "quantity": 1}]}]
        inspected = {"lines": found, "over_the_counter": True, "tender": "cash"}
        done = self.sapporo.ask("POST", f"{path}/inspection", json=inspected)
        new = self.line(INSTEAD)
        check("Swapped", (done["state"], self.line(ADDED)["refunded_quantity"]), ("exchanged", 1))
        difference = new["total"]["amount_minor"] - old["total"]["amount_minor"]
        check("The difference", done["difference"]["amount_minor"], difference)
        cash = [one["captured"]["amount_minor"] for one in self.now()["payments"] if one["tender"] == "cash"]
        check("It was paid", difference in cash, True)
        self.tell(
            f"{back['reference']}: {old['title']} is on the shelf in {THIRD}, {new['title']} is his for {money(done['difference'])} more."
        )

    def ask_for_more_than_is_left(self) -> None:
        self.step("He would like to bring the swapped tea back once more. He is told no, and why.")
        told = self.agent.ask("GET", f"/orders/{self.order['reference']}/returnability")["lines"]
        mine = next(one for one in told if one["sku"] == ADDED)
        check("Nothing of it is left to return", (mine["returnable"], mine["why_not"]), (0, "all_returned"))
        lines = [{"order_line_id": mine["order_line_id"], "quantity": 1}]
        body = {"order": self.order["reference"], "lines": lines}
        refused = self.agent.ask("POST", "/returns", json=body, expect=409)
        check("Refused", refused["code"], "not_returnable")
        self.tell(
            f"{mine['why_not']}: it is back already. Otherwise «{mine['rule']}» would hold, {mine['window_days']} days on every channel."
        )

    def send_it_from_two_places(self) -> None:
        self.step("He has a teapot and tea sent to Osaka. No place has both: two parcels, and the shop can say why.")
        lines = [{"sku": POTTERY, "quantity": 1}, {"sku": STEM_TEA, "quantity": 1}]
        contact = {"name": KEN.name, "email": people.email_of(KEN)}
        payment = {"method": "card", "payment_method": CARD}
        body = {"method": "ship", "ship_to": HOME, "lines": lines, "payment": payment, "contact": contact}
        order = self.shop.ask("POST", "/orders", json=body, expect=201)
        titles = {line["id"]: line["sku"] for line in order["lines"]}
        parts = {
            part["location"]["code"]: [titles[line["order_line_id"]] for line in part["lines"]]
            for part in order["fulfillments"]
        }
        check("Two parcels", parts, {OTHER: [POTTERY], WAREHOUSE: [STEM_TEA]})
        check("The fee", [line["kind"] for line in order["lines"]], ["goods", "goods"])
        (why,) = self.agent.ask("GET", f"/orders/{order['reference']}/sourcing")["items"]
        check("The only way", (why["decided_by"], len(why["chosen"])), ("only_one", 2))
        excluded = {one["location"]: one["excluded"] for one in why["locations"]}
        check("Who was not asked", (excluded[STORE], excluded[THIRD]), ("no_shipping", "no_shipping"))
        self.tell(
            f"Order {order['reference']}: the teapot leaves {OTHER}, the tea {WAREHOUSE}; above 5,000 yen it is free."
        )
        small = body | {"lines": [{"sku": STEM_TEA, "quantity": 1}]}
        alone = self.shop.ask("POST", "/orders", json=small, expect=201)
        fee = next(line for line in alone["lines"] if line["kind"] == "shipping")["total"]
        self.tell(
            f"The tea alone would cost {money(fee)} to send, taxed as a service is: {len(alone['tax_lines'])} rates."
        )
        for one in (order, alone):
            gone = self.agent.ask("POST", f"/orders/{one['reference']}/cancellation", json={"reason": "tour"})
            check("Called off", (gone["status"], [pay["state"] for pay in gone["payments"]]), ("cancelled", ["voided"]))

    def nobody_came(self) -> None:
        self.step("Ten days ago somebody else did not come. The worker has put it back, and nobody had to remember.")

        def expired() -> dict[str, Any] | None:
            found = self.shibuya.ask("GET", "/pickups", params={"state": "expired", "location": STORE})["items"]
            return found[0] if found else None

        pickup = until(f"An expired pickup in {STORE}", expired, seconds=90)
        order = self.agent.ask("GET", f"/orders/{pickup['reference']}")
        check("The order", (order["status"], [one["state"] for one in order["payments"]]), ("cancelled", ["voided"]))
        steps = self.agent.ask("GET", f"/orders/{pickup['reference']}/timeline")["items"]
        check("What happened", [step["type"] for step in steps][-1], "PickupExpired")
        left = sum(line["quantity"] - line["cancelled"] for line in order["fulfillments"][0]["lines"])
        check("Still put aside", left, 0)
        self.tell(f"{pickup['reference']}: goods for sale again, nothing owed, the customer told, in one transaction.")

    def nobody_comes(self) -> None:
        self.step("Another order waits at the counter and nobody comes. It is kept until its day, longer if he asks.")
        order = self.place(lines=[{"sku": WANTED, "quantity": 1}])
        part = order["fulfillments"][0]["id"]
        self.prepare(self.shibuya, part)
        manager = self.staff(MANAGER)
        kept = manager.ask("POST", f"/pickups/{part}/expiry", expect=409)
        check("Too early", kept["code"], "still_kept")
        longer = self.agent.ask("POST", f"/pickups/{part}/extension", json={"days": 3})["fulfillments"][0]["collect_by"]
        check("Longer", datetime.fromisoformat(longer) > datetime.fromisoformat(kept["collect_by"]), True)
        self.tell(
            f"Until {kept['collect_by'][:10]} nobody may put it back; he asked, and it is kept until {longer[:10]}."
        )
        gone = manager.ask("POST", f"/orders/{order['reference']}/cancellation", json={"reason": "tour"})
        check("The order", gone["status"], "cancelled")
        check("Nothing is owed", [one["state"] for one in gone["payments"]], ["voided"])
        self.tell("After that day a job would call it off; here the manager does, and nothing is owed for it.")
