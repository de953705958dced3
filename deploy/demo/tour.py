"""The tour: one order through the whole shop, over HTTP against the running servers, told step by step.

Hanako looks up stock, buys with points and her card, fetches the goods with a code; then she calls, and the agent has
everything in one answer. The second part looks into the stockroom (stock_tour.py), the third follows an order that does not
go as planned (orders_tour.py), the fourth a member's points (loyalty_tour.py). Every sentence is checked before it is printed; the first that is not true stops the tour.
"""

import uuid
from collections.abc import Mapping
from email.message import EmailMessage
from typing import Any

import httpx

from deploy.demo import loyalty_tour, orders_tour, people, stock_tour
from deploy.demo.mailbox import Mailbox
from deploy.demo.telling import Caller, Inbox, Say, Story, TourStopped, cell, check, code_in, money, text_of, until

HERS = ("TEA-SENCHA-80", "WARE-YUNOMI-AO")
STORE = "SHIBUYA"
CARD = "pm_card_visa"
MOST_POINTS = 300
NAME = people.HANAKO.name


def run(*, base_url: str, keys: Mapping[str, str], mailbox: Mailbox, say: Say) -> None:
    """Tell the whole story.

    keys: the API keys by client name. mailbox: where the shop's mails arrive. say: prints one line.

    Raises:
        TourStopped: something was not as told.
    """
    # trust_env=False: a proxy of the machine's is not for the loopback interface
    with httpx.Client(base_url=base_url, timeout=20, trust_env=False) as http:
        tour = _Tour(http, keys, mailbox, say)
        tour.look_up_stock()
        tour.log_in()
        tour.fill_the_cart()
        tour.pay()
        tour.pick()
        tour.hand_over()
        tour.earn()
        tour.call_support()
        number = stock_tour.run(http=http, keys=keys, say=say, number=tour.number)
        number = orders_tour.run(http=http, keys=keys, say=say, number=number)
        loyalty_tour.run(http=http, keys=keys, hanako=tour.hanako, say=say, number=number)


class _Tour(Story):
    """What is known so far."""

    def __init__(self, http: httpx.Client, keys: Mapping[str, str], mailbox: Mailbox, say: Say) -> None:
        super().__init__(http, say)
        self.shop = Caller(http, people.STOREFRONT.name, keys[people.STOREFRONT.name])
        self.inbox = Inbox(mailbox, people.email_of(people.HANAKO))
        self.hanako = self.counter = self.shop
        self.allocated: dict[str, int] = {}
        self.shelves: list[str] = []
        self.points = self.spent = 0
        self.cart: dict[str, Any] = {}
        self.order: dict[str, Any] = {}
        self.mailed_code = ""

    def show_mail(self, what: str, *, about: str = "", lines: int = 40) -> EmailMessage:
        """Wait for her next mail (about that order) and show its first lines."""
        message = self.inbox.next(what, about=about)
        text = text_of(message).splitlines()
        self.tell(f"┌ mail to {self.inbox.address}: {message['Subject']}")
        for line in text[:lines]:
            self.tell(f"│ {line}".rstrip())
        self.tell("└ ..." if len(text) > lines else "└")
        return message

    # --- the story

    def look_up_stock(self) -> None:
        self.step(f"{NAME} looks at the web store: where is what she wants?")
        before = self._availability()
        for sku in HERS:
            found = self.shop.ask("GET", f"/variants/{sku}")
            price = next(price for price in found["prices"] if price["price"]["currency"] == "JPY")
            self.tell(f"{cell(found['title_ja'], 22)}{cell(found['title'], 24)}{money(price['price'])}")
        for line in self.shelves:
            self.tell(line)
        check("Both are available in Shibuya", all(at["available"] > 0 for at in before.values()), True)
        self.allocated = {sku: at["allocated"] for sku, at in before.items()}

    def _availability(self) -> dict[str, dict[str, Any]]:
        """How each of hers stands at her store now; remembers the table of all stores."""
        answer = self.shop.ask("GET", "/availability", params={"sku": list(HERS)})
        self.shelves = []
        hers = {}
        for item in answer["items"]:
            where = [f"{at['location']['name_ja']} {at['available']}" for at in item["locations"]]
            self.shelves.append(f"{cell(item['title_ja'], 22)}{', '.join(where)}")
            hers[item["sku"]] = next(at for at in item["locations"] if at["location"]["code"] == STORE)
        return hers

    def log_in(self) -> None:
        self.step("She logs in with a one-time code from her mail; there is no password to lose.")
        address = {"email": self.inbox.address}
        self.shop.ask("POST", "/auth/codes", json=address, expect=202)
        tokens = None
        while tokens is None:  # a code of a run that was broken off may arrive first; it is void by now
            code = code_in(self.show_mail("the log-in code"))
            tokens = self.shop.ask("POST", "/auth/tokens", json={**address, "code": code}, expect=201, refused=401)
        self.hanako = Caller(self.http, NAME, tokens["access_token"])
        check("The log-in is hers", self.hanako.ask("GET", "/me")["name"], NAME)
        self.points = self.hanako.ask("GET", "/me/points")["available"]
        self.tell(f"Welcome back. She has {self.points:,} points, a point being worth one yen.")

    def fill_the_cart(self) -> None:
        self.step("She puts two items into her cart, chooses pickup in Shibuya and spends a part of her points.")
        first, second = HERS
        cart = self.hanako.ask("POST", "/carts", json={"lines": [{"sku": first, "quantity": 1}]}, expect=201)
        line = {"sku": second, "quantity": 1}
        cart = self.hanako.ask("POST", f"/carts/{cart['id']}/lines", json=line, if_match=cart["version"], expect=201)
        self.spent = min(MOST_POINTS, self.points // 3)
        check("She has points to spend", self.spent > 0, True)
        wish = {"location": STORE, "method": "pickup", "points_to_spend": self.spent}
        self.cart = self.hanako.ask("PATCH", f"/carts/{cart['id']}", json=wish, if_match=cart["version"])
        totals = self.cart["totals"]
        for line in self.cart["lines"]:
            self.tell(f"{cell(line['title_ja'], 22)}{line['quantity']} x {money(line['unit_price'])}")
        for tax in totals["tax_lines"]:
            self.tell(f"of which tax {tax['rate_bp'] // 100} %: {money(tax['tax'])}")
        self.tell(f"total {money(totals['total'])}, {self.spent} points, to pay {money(totals['to_pay'])}")
        total = sum(line["total"]["amount_minor"] for line in self.cart["lines"])
        check("The total is the sum of its lines", totals["total"]["amount_minor"], total)
        check("Points pay a part", totals["to_pay"]["amount_minor"], total - self.spent)
        self.hanako.ask("POST", f"/carts/{self.cart['id']}/hold", expect=201)
        self.tell("Both are put aside for her for 15 minutes while she looks for her card.")

    def pay(self) -> None:
        self.step("She pays by card: stock, points, money and order are taken together, or not at all.")
        body = {"cart_id": self.cart["id"], "payment": {"method": "card", "payment_method": CARD}}
        key = f"tour-{uuid.uuid4()}"
        self.order = self.hanako.ask("POST", "/orders", json=body, key=key, expect=201)
        again = self.hanako.ask("POST", "/orders", json=body, key=key, expect=201)
        check(
            "The same request sent twice", (again["reference"], self.hanako.replayed), (self.order["reference"], True)
        )
        total = self.cart["totals"]["total"]
        check("The order's total", self.order["total"], total)
        check("The order's status", self.order["status"], "open")
        tenders = {part["tender"]: part for part in self.order["payments"]}
        check("She paid with", sorted(tenders), ["card", "points"])
        check("The card is authorized", tenders["card"]["state"], "authorized")
        check("For", tenders["card"]["amount"], self.cart["totals"]["to_pay"])
        check("Nothing is charged yet", tenders["card"]["captured"]["amount_minor"], 0)
        self.tell(f"Order {self.order['reference']}: {money(total)}, the card is authorized and not charged yet.")
        self.tell("Her connection broke and the app sent it twice: it is one order all the same.")
        mine = self.hanako.ask("GET", "/me/points")
        check("Her points", (mine["available"], mine["held"]), (self.points - self.spent, self.spent))
        self.tell(f"{self.spent} points are put aside, {mine['available']:,} are left.")
        promised = {sku: at["allocated"] for sku, at in self._availability().items()}
        check("Promised in Shibuya", promised, {sku: units + 1 for sku, units in self.allocated.items()})
        self.tell("One of each is hers now and can be promised to nobody else in Shibuya:")
        for line in self.shelves:
            self.tell(line)
        self.tell("The mail says received, not ready:")
        self.show_mail("the confirmation", about=self.order["reference"], lines=7)

    def pick(self) -> None:
        colleague = people.STAFF[0]
        self.step(f"In Shibuya, {colleague.name} logs in, picks the order and marks it ready.")
        self.counter = self.staff(colleague)
        found = self.counter.ask("GET", "/pickups", params={"q": self.order["reference"]})["items"]
        check("It is on the store's list", [pickup["reference"] for pickup in found], [self.order["reference"]])
        pickup = found[0]
        for state, path in (("picking", "picking"), ("ready", "ready")):
            pickup = self.counter.ask("POST", f"/pickups/{pickup['id']}/{path}")
            check("The pickup", pickup["state"], state)
        twice = self.counter.ask("POST", f"/pickups/{pickup['id']}/ready")
        check("A double click on ready", twice["version"], pickup["version"])
        self.tell("Picked and ready. A double click changes nothing and sends nothing twice. The mail with the code:")
        self.mailed_code = code_in(self.show_mail("the pickup code", about=self.order["reference"]))

    def hand_over(self) -> None:
        self.step("She comes to the counter and shows the code; the goods change hands, once.")
        shown = self.hanako.ask("GET", f"/me/orders/{self.order['reference']}/pickup-code")
        check("The code in her app is the one of the mail", shown["code"], self.mailed_code)
        path = f"/pickups/{shown['fulfillment_id']}/collection"
        done = self.counter.ask("POST", path, json={"code": shown["code"]})
        check("The pickup", (done["state"], done["collected_proof"]), ("collected", "code"))
        self.counter.ask("POST", path, json={"code": shown["code"]}, expect=409)
        self.tell(f"Code {shown['code']}: handed over. Shown once more, it opens nothing (409).")

    def earn(self) -> None:
        self.step("Now the card is charged, and she earns points on what she paid with money.")
        reference = self.order["reference"]

        def charged() -> dict[str, Any] | None:
            order: dict[str, Any] = self.hanako.ask("GET", f"/orders/{reference}")
            card = next(part for part in order["payments"] if part["tender"] == "card")
            return order if card["state"] == "captured" else None

        self.order = until("The card is charged", charged)
        check("The order's status", self.order["status"], "completed")
        card = next(part for part in self.order["payments"] if part["tender"] == "card")
        check("The card was charged", card["captured"], self.cart["totals"]["to_pay"])
        entries = self.hanako.ask("GET", "/me/points/entries")["items"]
        kinds = {entry["kind"]: entry for entry in reversed(entries) if entry["order_id"] == self.order["id"]}
        expected = (self.order["subtotal"]["amount_minor"] - self.spent) // 100
        told = self.hanako.ask("GET", f"/orders/{reference}/points")
        base = sum(why["points"] for line in told["lines"] for why in line["reasons"] if why["rule"] == "base")
        check("Points earned: 1 % without tax and without what points paid", base, expected)
        check("Every point has its reason", kinds["earn"]["points"], told["earned"])  # a tier may add some
        expected = told["earned"]
        mine = self.hanako.ask("GET", "/me/points")
        check("Her points", (mine["available"], mine["held"]), (self.points - self.spent + expected, 0))
        self.tell(
            f"{money(card['captured'])} charged, {self.spent} points spent, {expected} earned: she has {mine['available']:,}."
        )
        self.show_mail("the receipt", about=self.order["reference"], lines=8)

    def call_support(self) -> None:
        agent_name, phone = people.STAFF[4], people.phone_of(people.HANAKO)
        self.step(f"She calls support. {agent_name.name} types her number, {phone}, and sees everything at once.")
        agent = self.staff(agent_name)
        found = agent.ask("GET", "/support/context", params={"phone": phone})
        check("The number is known", found["found_by"]["assurance"], "verified")
        check("It is hers", found["customer"]["name"], NAME)
        order = next((o for o in found["orders"]["past"] if o["reference"] == self.order["reference"]), None)
        if order is None:
            raise TourStopped(f"The agent does not see order {self.order['reference']}")
        check("The agent sees the pickup", [part["state"] for part in order["fulfillments"]], ["collected"])
        check(
            "The agent sees her points", found["points"]["available"], self.hanako.ask("GET", "/me/points")["available"]
        )
        about = [m["template"] for m in found["messages"] if m["order_id"] == order["id"]]
        check("The agent sees the messages", sorted(about), ["order_placed", "pickup_ready", "receipt"])
        who = ", ".join(f"{i['kind']} {i['value']} ({i['assurance']})" for i in found["customer"]["identities"])
        self.tell(f"{NAME}: {who}")
        expiry = found["points"]["next_expiry"]
        until_when = f", {expiry['points']} of them until {expiry['at'][:10]}" if expiry else ""
        self.tell(f"{found['points']['available']:,} points{until_when}")
        for past in found["orders"]["past"][:4]:
            place = ", ".join(f"{at['location']['name_ja']} {at['method']}" for at in past["fulfillments"])
            self.tell(
                f"{past['reference']}  {past['placed_at'][:10]}  {cell(money(past['total']), 9)} {past['status']}, {place}"
            )
        self.tell(f"mails: {', '.join(m['subject'] for m in found['messages'][:3])}")
        self.tell(f"timeline: {', '.join(event['type'] for event in found['timeline'][:6])} ...")
        note = "Asked whether the teacup may go into the dishwasher. Yes, it may."
        body = {"channel": "phone", "direction": "inbound", "text": note, "order": order["reference"]}
        agent.ask("POST", "/support/contacts", json=body, expect=201)
        seen = agent.ask("GET", "/support/context", params={"order": order["reference"]})["contacts"][0]
        check("The next agent reads the note", (seen["text"], seen["staff_name"]), (note, agent_name.name))
        self.tell(f'Noted for whoever picks up next, on any channel: "{note}"')
