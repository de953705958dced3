"""The tour's fourth part: points, from the first to the last. A member is enrolled at a till, learns why each of her points was
earned, rises a tier, is given some by an agent (and more by two), turns out to have two records, and is told her statement. Who
bought without a card has her points by the code on the receipt.
A new person each time, so that it can be told again. Every sentence is checked before it is printed."""

import secrets
from collections.abc import Mapping
from typing import Any

import httpx

from deploy.demo import people
from deploy.demo.telling import Caller, Say, Story, check, until

STORE = "KYOTO"
TILL = people.CLIENTS[4]
TEA, CUP = "TEA-GYOKURO-80", "WARE-YUNOMI-AO"
NAME = "佐野 ひかり"
AGENT, SUPERVISOR, ADMIN = people.STAFF[4], people.STAFF[5], people.STAFF[7]
CLERK = people.STAFF[2]
TEA_RULE: Mapping[str, Any] = {
    "code": "demo-tea",
    "name": "Tea at the till",
    "name_ja": "店頭のお茶",
    "basis": "unit",
    "points": 5,
}
FIRST_RULE: Mapping[str, Any] = {
    "code": "demo-first",
    "name": "First purchase",
    "name_ja": "初回購入",
    "basis": "order",
    "points": 100,
}
TIERS: tuple[Mapping[str, Any], ...] = (
    {"code": "silver", "name": "Silver", "name_ja": "シルバー", "rank": 1, "threshold": 5_000, "multiplier_bp": 15_000},
    {"code": "gold", "name": "Gold", "name_ja": "ゴールド", "rank": 2, "threshold": 50_000, "free_shipping": True},
)
PROGRAM: Mapping[str, Any] = {
    "basis": "spend",
    "currency": "JPY",
    "window": "rolling",
    "grace_days": 30,
    "soft_landing": True,
}
SMALL, LARGE = 300, 5_000


def run(*, http: httpx.Client, keys: Mapping[str, str], hanako: Caller, say: Say, number: int) -> None:
    """Tell it, counting the steps on from `number`. hanako: logged in.

    Raises:
        TourStopped: something was not as told.
    """
    story = _Loyalty(http, keys, hanako, say, number)
    story.enroll()
    story.explain_each_point()
    story.rise_a_tier()
    story.give_goodwill()
    story.merge_and_undo()
    story.join_by_receipt()
    story.show_the_books()


class _Loyalty(Story):
    """What is known so far of the new member."""

    def __init__(self, http: httpx.Client, keys: Mapping[str, str], hanako: Caller, say: Say, number: int) -> None:
        super().__init__(http, say, number)
        self.till = Caller(http, TILL.name, keys[TILL.name])
        self.hanako = hanako
        self.agent, self.supervisor, self.admin = self.staff(AGENT), self.staff(SUPERVISOR), self.staff(ADMIN)
        self.member: dict[str, Any] = {}
        self.order: dict[str, Any] = {}

    def points(self, customer: str | None = None) -> int:
        """What she can spend now."""
        found = self.agent.ask("GET", f"/customers/{customer or self.member['customer_id']}/points")
        return int(found["available"])

    def buy(self, *lines: tuple[str, int], points: int = 0) -> dict[str, Any]:
        """A sale at the till in Kyoto; her points are spent with the proof that her card was looked up there."""
        body = {
            "method": "carry_out",
            "location": STORE,
            "customer_id": self.member["customer_id"],
            "lines": [{"sku": sku, "quantity": units} for sku, units in lines],
            "points_to_spend": points,
            "payment": {"method": "cash"},
        }
        if points:
            by_card = self.till.ask("POST", "/members/lookup", json={"card": self.member["card_number"]})
            body["points_proof"] = by_card["spend_proof"]
        made: dict[str, Any] = self.till.ask("POST", "/orders", json=body, expect=201)
        return made

    def enroll(self) -> None:
        self.step(f"At the till in Kyoto {NAME} becomes a member, in one call; her card is read by every scanner.")
        for rule in (
            {**TEA_RULE, "categories": ["tea"], "channels": ["store"], "locations": [STORE]},
            {**FIRST_RULE, "first_purchase": True},
        ):
            self.admin.ask("POST", "/earning-rules", json=rule, expect=201, refused=409)
        phone = f"080-{secrets.randbelow(9000) + 1000}-{secrets.randbelow(9000) + 1000}"
        body = {"name": NAME, "phone": phone, "birthday": {"month": 2, "day": 29}}
        self.member = self.till.ask("POST", "/members", json=body, expect=201)
        card = self.member["card_number"]
        by_card = self.till.ask("POST", "/members/lookup", json={"card": card})
        by_phone = self.till.ask("POST", "/members/lookup", json={"phone": phone})
        check("It is she", by_card["customer_id"], self.member["customer_id"])
        check("Who may spend", (by_card["may_spend"], by_phone["may_spend"]), (True, False))
        self.tell(f"Card {card}. With the card she may spend; whoever says her number ({phone}) earns for her,")
        self.tell(f"sees «{by_phone['name']}» and no balance: anybody may know a number.")

    def explain_each_point(self) -> None:
        self.step("She buys tea and a cup with that card. Why did she earn what she earned? Line by line.")
        self.order = self.buy((TEA, 2), (CUP, 1))
        told = self.agent.ask("GET", f"/orders/{self.order['reference']}/points")
        parts = [(line, reason) for line in told["lines"] for reason in line["reasons"]]
        check("The parts are the whole", sum(reason["points"] for _, reason in parts), told["earned"])
        check("It is what she has", self.points(), told["earned"])
        by_rule: dict[str, int] = {}
        for _, reason in parts:
            by_rule[reason["rule"]] = by_rule.get(reason["rule"], 0) + reason["points"]
        net = self.order["subtotal"]["amount_minor"]
        check("Which rules", by_rule, {"base": net // 100, "demo-tea": 10, "demo-first": 100})
        skus = {line["id"]: line["sku"] for line in self.order["lines"]}
        for line, reason in parts:
            self.tell(f"{skus[line['order_line_id']]:<16} {reason['text']}")
        self.tell(f"Together {told['earned']}: stored with the earning, whatever becomes of the rules.")

    def rise_a_tier(self) -> None:
        self.step("She has spent enough for a tier. The worker sees it; from now on she earns half as much again.")
        program = self.admin.ask("GET", "/tier-program")
        if program["version"] == 0:
            self.admin.ask("PUT", "/tier-program", json=PROGRAM, if_match=0)
            for tier in TIERS:
                self.admin.ask("POST", "/tiers", json=tier, expect=201, refused=409)
        path = f"/customers/{self.member['customer_id']}/tier"
        self.buy((CUP, 3))

        def risen() -> dict[str, Any] | None:
            found: dict[str, Any] = self.agent.ask("GET", path)
            return found if found["tier"] is not None else None

        tier = until("She is in a tier", risen)
        change = tier["changes"][0]
        # the first sale may have been enough, or both together: what counted is written in the change
        enough = TIERS[0]["threshold"] <= change["figure"] <= tier["figure"]
        check("Why", (tier["tier"]["code"], change["reason"], enough), ("silver", "qualified", True))
        self.tell(f"{tier['tier']['name_ja']}: ¥{tier['figure']:,} in the last {tier['window']['days']} days,")
        self.tell(f"¥{tier['next']['missing']:,} to {tier['next']['name_ja']}, where shipping is free.")
        before = self.points()
        more = self.buy((CUP, 1))
        told = self.agent.ask("GET", f"/orders/{more['reference']}/points")
        codes = {reason["rule"]: reason["points"] for line in told["lines"] for reason in line["reasons"]}
        check("Half as much again", codes["tier:silver"], codes["base"] // 2)
        check("She has it", self.points() - before, told["earned"])

    def give_goodwill(self) -> None:
        self.step(f"Her cup was chipped. {AGENT.name} gives {SMALL} points; for {LARGE:,} it takes two people.")
        before = self.points()
        path = f"/customers/{self.member['customer_id']}/points/goodwill"
        given = self.agent.ask("POST", path, json={"points": SMALL, "reason": "damaged"}, expect=201)
        check("At once", (given["state"], self.points() - before), ("given", SMALL))
        asked = self.agent.ask("POST", path, json={"points": LARGE, "reason": "damaged"}, expect=201)
        check("Not at once", (asked["state"], self.points() - before), ("pending", SMALL))
        decision = f"/points/goodwill/{asked['id']}/decision"
        self.agent.ask("POST", decision, json={"give": True}, expect=403)
        done = self.supervisor.ask("POST", decision, json={"give": True})
        check("By the second", (done["state"], self.points() - before), ("given", SMALL + LARGE))
        self.tell(f"{SUPERVISOR.name} looked at it and gave the {LARGE:,}; the agent could not have done so alone.")

    def merge_and_undo(self) -> None:
        self.step("She had a record in the web store too. Two records become one, with one balance; and two again.")
        email = f"hikari.sano.{secrets.token_hex(4)}@example.com"
        body = {"name": NAME, "identities": [{"kind": "email", "value": email, "assurance": "observed"}]}
        other = self.agent.ask("POST", "/customers", json=body, expect=201)
        gift = {"points": 200, "reason": "late"}
        self.agent.ask("POST", f"/customers/{other['id']}/points/goodwill", json=gift, expect=201)
        mine, hers = self.points(), self.points(other["id"])
        path = f"/customers/{self.member['customer_id']}/merges"
        body = {"gone": other["reference"], "reason": "the same person, seen at the counter"}
        merge = self.supervisor.ask("POST", path, json=body, expect=201)
        check("One balance", (self.points(), self.points(other["id"])), (mine + hers, 0))
        spent = self.buy((TEA, 1), points=100)
        check("She spends of both", spent["payments"][0]["points"], 100)
        earned = self.agent.ask("GET", f"/orders/{spent['reference']}/points")["earned"]
        self.supervisor.ask("POST", f"{path}/{merge['id']}/undo")
        after = self.points(), self.points(other["id"])
        check("Nothing is lost", sum(after), mine + hers - 100 + earned)
        self.tell(
            f"{mine:,} and {hers:,} were {mine + hers:,}; 100 were spent, {earned} earned; undone, each has her own:"
        )
        self.tell(f"{after[0]:,} and {after[1]:,}. The lots that ran out first were spent first, whoever's they were.")

    def join_by_receipt(self) -> None:
        self.step(
            f"{self.hanako.name} buys a cup in Kyoto without her card. At home she types the code on the receipt."
        )
        body = {
            "method": "carry_out",
            "location": STORE,
            "lines": [{"sku": CUP, "quantity": 1}],
            "payment": {"method": "cash"},
        }
        order = self.till.ask("POST", "/orders", json=body, expect=201)
        reference = order["reference"]
        clerk, paper = self.staff(CLERK), f"/orders/{reference}/receipt"
        code = clerk.ask("POST", paper, json={}, expect=201)["items"][0]["receipt_code"]
        before = self.hanako.ask("GET", "/me/points")["available"]
        claim = {"reference": reference, "receipt_code": code.lower().replace("-", " ")}
        taken = self.hanako.ask("POST", "/me/orders/receipt-claims", json=claim)
        check("It is hers", taken["references"], [reference])
        earned = self.agent.ask("GET", f"/orders/{reference}/points")["earned"]
        check("The points came late", self.hanako.ask("GET", "/me/points")["available"] - before, earned)
        again = self.hanako.ask("POST", "/me/orders/receipt-claims", json=claim)
        check("Once", (again["references"], self.hanako.ask("GET", "/me/points")["available"]), ([], before + earned))
        check("Good for nothing now", clerk.ask("GET", paper)["items"][0]["receipt_code"], None)
        self.tell(f"{reference} with {code}: hers, and {earned} points with it, once.")
        self.tell("Printed again, the receipt shows no code any more.")

    def show_the_books(self) -> None:
        self.step("The new member's statement adds up; what the shop owes all members in points equals the ledger.")
        statement = self.agent.ask("GET", f"/customers/{self.member['customer_id']}/points/statement")
        check("Opening and movements are the closing", statement["agrees"], True)
        check("The closing", statement["closing"]["available"], self.points())
        kinds = ", ".join(f"{one['kind']} {one['points']:+}" for one in statement["items"])
        self.tell(f"{statement['opening']['points']} at first; {kinds}; {statement['closing']['points']:,} now.")
        report = self.supervisor.ask("GET", "/points/liability")
        check("The report equals the ledger", (report["agrees"], report["differences"]), (True, []))
        outstanding = report["outstanding"]["points"]
        check("By months", sum(month["points"] for month in report["months"]), outstanding)
        self.tell(f"{outstanding:,} points outstanding over {len(report['months'])} months of expiry.")
