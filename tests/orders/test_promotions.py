"""/promotions and /coupons, and what they do to a cart."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from orders.promotions import coupons
from retail import limits
from retail.kernel import clock, db
from retail.kernel.ids import ALPHABET
from retail.kernel.money import MAX_MINOR
from tests.factories import Actor, staff
from tests.factories.orders import Shop, events, shop

Api = Callable[..., Any]
Unchanged = Callable[[], AbstractContextManager[None]]
HOUR = timedelta(hours=1)
TICK = timedelta(microseconds=1)


def yen(amount_minor: int) -> dict[str, Any]:
    return {"amount_minor": amount_minor, "currency": "JPY"}


@pytest.fixture
def admin(session: Session) -> Actor:
    return staff(session, "admin")


@pytest.fixture
def made(session: Session) -> Shop:
    return shop(session)


def promote(api: Api, admin: Actor, **facts: Any) -> dict[str, Any]:
    """A promotion; 10 % off everything unless told."""
    body = {
        "code": "TEN",
        "name": "Ten percent",
        "name_ja": "10%引き",
        "kind": "percentage",
        "percent_bp": 1000,
    } | facts
    if body["kind"] != "percentage" and "percent_bp" not in facts:
        del body["percent_bp"]
    answer = api(admin).post("/promotions", json=body)
    assert answer.status_code == 201, answer.json
    found: dict[str, Any] = answer.json
    return found


def coupon(api: Api, admin: Actor, code: str = "SUMMER-10", promotion: str = "TEN", **terms: Any) -> None:
    answer = api(admin).post(f"/promotions/{promotion}/coupons", key=code, json={"codes": [code], **terms})
    assert answer.status_code == 201, answer.json


def cart(api: Api, made: Shop, **changes: Any) -> dict[str, Any]:
    body = {"lines": [{"sku": made.tea.sku, "quantity": 2}], "location": made.store.code} | changes
    answer = api(made.customer).post("/carts", json=body)
    assert answer.status_code == 201, answer.json
    return dict(answer.json)


def reasons(found: dict[str, Any]) -> list[tuple[str | None, str]]:
    return [(entry["coupon"] or entry["promotion"], entry["reason"]) for entry in found["discounts"]]


def test_a_promotion_is_made_read_and_listed(
    session: Session, api: Api, admin: Actor, made: Shop, now: datetime
) -> None:
    promotion = promote(api, admin, skus=[made.tea.sku], channels=["web"], locations=[made.store.code])
    assert (promotion["state"], promotion["valid_from"], promotion["version"]) == ("running", now.isoformat(), 1)
    assert (promotion["locations"], promotion["skus"]) == ([made.store.code], [made.tea.sku])
    for name in ("TEN", promotion["id"]):
        read = api(admin).get(f"/promotions/{name}")
        assert (read.json, read.headers["ETag"]) == (promotion, '"1"')
    planned = promote(
        api, admin, code="LATER", valid_from=(now + HOUR).isoformat(), valid_to=(now + 2 * HOUR).isoformat()
    )
    seen = api(made.associate)
    assert seen.get("/promotions").json["items"] == [planned, promotion]
    first = seen.get("/promotions?limit=1").json
    assert (first["items"], seen.get(f"/promotions?cursor={first['next']}").json["items"]) == ([planned], [promotion])
    states = {
        state: [p["code"] for p in seen.get(f"/promotions?state={state}").json["items"]]
        for state in ("planned", "running", "ended")
    }
    assert states == {"planned": ["LATER"], "running": ["TEN"], "ended": []}
    with clock.shifted(2 * HOUR):
        assert [p["code"] for p in seen.get("/promotions?state=ended").json["items"]] == ["LATER"]
    assert events(session, "PromotionChanged") == ["PromotionChanged"] * 2


def test_who_may_not(session: Session, api: Api, admin: Actor, made: Shop, unchanged: Unchanged) -> None:
    promote(api, admin, needs_coupon=True)
    coupon(api, admin)
    body = {"code": "X", "name": "X", "kind": "percentage", "percent_bp": 1}
    with unchanged():
        for caller in (made.customer, made.web):
            assert api(caller).get("/promotions").status_code == 403
            assert api(caller).get("/promotions/TEN").status_code == 403
        seller = api(made.associate)
        assert seller.post("/promotions", json=body).status_code == 403
        assert seller.patch("/promotions/TEN", json={"name": "X"}, if_match=1).status_code == 403
        assert seller.delete("/promotions/TEN", if_match=1).status_code == 403
        assert seller.get("/promotions/TEN/coupons").status_code == 403
        assert seller.post("/promotions/TEN/coupons", key="one", json={"count": 1}).status_code == 403
        assert seller.get("/coupons/SUMMER10").status_code == 403
        assert seller.patch("/coupons/SUMMER10", json={"active": False}, if_match=1).status_code == 403
        assert seller.get("/coupons/SUMMER10/uses").status_code == 403


@pytest.mark.parametrize(
    ("facts", "field", "code"),
    [
        ({"percent_bp": 10_001}, "percent_bp", "invalid"),
        ({"percent_bp": 0}, "percent_bp", "out_of_range"),
        ({"percent_bp": -1}, "percent_bp", "invalid"),
        ({"percent_bp": "1000"}, "percent_bp", "invalid"),
        ({"amount_minor": 5}, "amount_minor", "not_of_kind"),
        ({"kind": "gift"}, "kind", "invalid"),
        ({"kind": "amount", "amount_minor": 1, "currency": "JPY"}, "percent_bp", "not_of_kind"),
        ({"kind": "amount", "percent_bp": 0, "currency": "JPY"}, "amount_minor", "out_of_range"),
        ({"kind": "amount", "percent_bp": 0, "amount_minor": 100}, "currency", "required"),
        ({"kind": "amount", "percent_bp": 0, "amount_minor": MAX_MINOR + 1, "currency": "JPY"}, "amount_minor", "invalid"),
        ({"kind": "buy_x_get_y", "buy_quantity": 2}, "get_quantity", "out_of_range"),
        ({"kind": "buy_x_get_y", "buy_quantity": 10_000, "get_quantity": 1}, "buy_quantity", "invalid"),
        ({"kind": "threshold", "percent_bp": 0, "currency": "JPY"}, "steps", "required"),
        ({"kind": "threshold", "percent_bp": 0, "currency": "JPY", "steps": [{"from_minor": 1}]}, "steps.0", "one_of"),
        (
            {
                "kind": "threshold",
                "percent_bp": 0,
                "currency": "JPY",
                "steps": [{"from_minor": 1, "amount_minor": 1}, {"from_minor": 1, "percent_bp": 1}],
            },
            "steps.0",
            "repeated",
        ),
        ({"min_amount_minor": 100}, "currency", "required"),
        ({"currency": "yen"}, "currency", "invalid"),
        ({"valid_from": "2026-07-02T00:00:00Z", "valid_to": "2026-07-02T00:00:00Z"}, "valid_to", "backwards"),
        ({"valid_from": "2026-06-30T00:00:00Z"}, "valid_from", "past"),
        ({"valid_from": "2026-07-02T00:00:00"}, "valid_from", "invalid"),
        ({"skus": ["NONE"]}, "skus", "unknown"),
        ({"channels": ["moon"]}, "channels", "unknown"),
        ({"locations": ["NOWHERE"]}, "locations", "unknown"),
        ({"skus": ["A"] * (limits.NAMES_PER_PROMOTION + 1)}, "skus", "invalid"),
        ({"name": ""}, "name", "invalid"),
        ({"code": "not a code"}, "code", "invalid"),
        ({"used": 1}, "used", "invalid"),
    ],
)  # fmt: skip
def test_promotions_that_cannot_be(
    api: Api, admin: Actor, made: Shop, unchanged: Unchanged, facts: dict[str, Any], field: str, code: str
) -> None:
    body = {"code": "TEN", "name": "Ten", "kind": "percentage", "percent_bp": 1000} | facts
    with unchanged():
        answer = api(admin).post("/promotions", json=body)
    assert answer.status_code == 422
    assert (answer.json["errors"][0]["field"], answer.json["errors"][0]["code"]) == (field, code), answer.json


def test_amounts_at_their_limits(api: Api, admin: Actor, made: Shop) -> None:
    promote(api, admin, kind="amount", amount_minor=MAX_MINOR, per_unit=True, currency="JPY")
    found = cart(api, made)
    assert (found["totals"]["total"], found["totals"]["discount"]) == (yen(0), yen(3960))  # never below nothing
    promote(api, admin, code="ALL", percent_bp=10_000)
    assert cart(api, made)["totals"]["total"] == yen(0)


def test_a_code_is_taken_once(api: Api, admin: Actor, made: Shop, unchanged: Unchanged) -> None:
    promote(api, admin)
    with unchanged():
        answer = api(admin).post(
            "/promotions", json={"code": "TEN", "name": "T", "kind": "percentage", "percent_bp": 1}
        )
    assert (answer.status_code, answer.json["code"]) == (409, "promotion_code_taken")


def test_what_has_begun_keeps_its_figures(
    api: Api, admin: Actor, made: Shop, now: datetime, unchanged: Unchanged
) -> None:
    promote(api, admin)
    path, caller = "/promotions/TEN", api(admin)
    with unchanged():
        assert caller.patch(path, json={"name": "X"}).status_code == 428
        assert caller.patch(path, json={"name": "X"}, if_match=9).status_code == 412
        assert caller.patch(path, json={}, if_match=1).status_code == 422
        assert caller.patch("/promotions/NONE", json={"name": "X"}, if_match=1).status_code == 404
        fixed = caller.patch(path, json={"percent_bp": 2000, "priority": 5, "name": "X"}, if_match=1)
        assert (fixed.status_code, fixed.json["code"], fixed.json["fields"]) == (
            409, "promotion_begun", ["percent_bp", "priority"],
        )  # fmt: skip
        assert caller.delete(path, if_match=1).json["legal"] == ["end"]
        past = caller.patch(path, json={"valid_to": (now - TICK).isoformat()}, if_match=1)
        assert (past.status_code, past.json["errors"][0]["code"]) == (422, "backwards")
    same = caller.patch(path, json={"percent_bp": 1000, "name": "Ten off"}, if_match=1)  # what it says already
    assert (same.status_code, same.json["name"]) == (200, "Ten off")
    with clock.shifted(HOUR):
        ended = caller.patch(path, json={"valid_to": (now + HOUR).isoformat()}, if_match=2)
        assert (ended.status_code, ended.json["state"]) == (200, "ended")
        assert cart(api, made)["totals"]["discount"] == yen(0)
        with unchanged():
            again = caller.patch(path, json={"valid_to": None}, if_match=3)
            assert (again.status_code, again.json["fields"]) == (409, ["valid_to"])


def test_a_withdrawn_promotion_stays_withdrawn(api: Api, admin: Actor, made: Shop, unchanged: Unchanged) -> None:
    promote(api, admin)
    assert cart(api, made)["totals"]["discount"] == yen(396)
    assert api(admin).patch("/promotions/TEN", json={"active": False}, if_match=1).json["state"] == "ended"
    assert cart(api, made)["totals"]["discount"] == yen(0)
    with unchanged():
        answer = api(admin).patch("/promotions/TEN", json={"active": True}, if_match=2)
    assert (answer.status_code, answer.json["fields"]) == (409, ["active"])


def test_a_draft_is_changed_begun_or_deleted(
    session: Session, api: Api, admin: Actor, made: Shop, now: datetime
) -> None:
    promote(api, admin, active=False)
    with clock.shifted(HOUR):
        changed = api(admin).patch("/promotions/TEN", json={"percent_bp": 2000, "skus": [made.cake.sku]}, if_match=1)
        assert (changed.json["percent_bp"], changed.json["state"]) == (2000, "ended")
        begun = api(admin).patch("/promotions/TEN", json={"active": True, "skus": []}, if_match=2)
        assert (begun.json["state"], begun.json["valid_from"]) == ("running", (now + HOUR).isoformat())
        assert cart(api, made)["totals"]["discount"] == yen(792)
    promote(api, admin, code="LATER", valid_from=(now + HOUR).isoformat(), needs_coupon=True)
    coupon(api, admin, promotion="LATER")
    assert api(admin).delete("/promotions/LATER", if_match=2).status_code == 412
    assert api(admin).delete("/promotions/LATER", if_match=1).status_code == 204
    assert api(admin).delete("/promotions/LATER", if_match=1).status_code == 404
    assert session.execute(text("SELECT count(*) FROM coupon")).scalar_one() == 0


def test_it_counts_from_its_beginning_until_just_before_its_end(
    api: Api, admin: Actor, made: Shop, now: datetime
) -> None:
    promote(api, admin, valid_from=(now + HOUR).isoformat(), valid_to=(now + 2 * HOUR).isoformat())
    seen = []
    for moment in (HOUR - TICK, HOUR, 2 * HOUR - TICK, 2 * HOUR):
        with clock.shifted(moment):
            seen.append(cart(api, made)["totals"]["discount"]["amount_minor"])
    assert seen == [0, 396, 396, 0]


def test_it_counts_where_it_says(api: Api, admin: Actor, made: Shop) -> None:
    promote(api, admin, channels=["web"], locations=[made.store.code], skus=[made.tea.sku])
    lines = [{"sku": made.tea.sku, "quantity": 2}, {"sku": made.cake.sku, "quantity": 1}]
    found = cart(api, made, lines=lines)
    assert [line["discount"] for line in found["lines"]] == [yen(396), yen(0)]
    assert (found["totals"]["discount"], found["totals"]["total"]) == (yen(396), yen(4104))
    assert found["discounts"][0]["lines"] == [{"line": 1, "sku": made.tea.sku, "amount_minor": 396}]
    assert cart(api, made, location=made.other.code)["discounts"] == []
    assert cart(api, made, location=None)["discounts"] == []
    assert cart(api, made, lines=lines[1:])["discounts"] == []  # not a word of what is about other goods
    answer = api(made.associate).post("/carts", json={"lines": lines, "location": made.store.code})
    assert answer.json["discounts"] == []  # another channel


def test_categories_and_why_not(session: Session, api: Api, admin: Actor, made: Shop) -> None:
    session.execute(text("UPDATE product SET category = 'tea' WHERE id = :id"), {"id": made.tea.product_id})
    promote(api, admin, categories=["tea"], min_quantity=3)
    assert reasons(cart(api, made)) == [("TEN", "below_min_quantity")]
    found = cart(api, made, lines=[{"sku": made.tea.sku, "quantity": 3}])
    assert (reasons(found), found["totals"]["discount"]) == ([("TEN", "applied")], yen(594))


def test_coupons_in_any_spelling(api: Api, admin: Actor, made: Shop) -> None:
    promote(api, admin, needs_coupon=True)
    coupon(api, admin, "Summer-10")
    assert cart(api, made)["discounts"] == []
    found = cart(api, made, coupon_codes=["ｓｕｍｍｅｒ 10", "SUMMER10", "NONE"])
    assert found["coupon_codes"] == ["SUMMER10", "NONE"]
    assert reasons(found) == [("SUMMER10", "applied"), ("NONE", "unknown_coupon")]
    assert found["totals"]["discount"] == yen(396)
    changed = api(made.customer).patch(f"/carts/{found['id']}", json={"coupon_codes": []}, if_match=1)
    assert (changed.json["coupon_codes"], changed.json["totals"]["discount"]) == ([], yen(0))
    again = api(made.customer).patch(f"/carts/{found['id']}", json={"coupon_codes": ["summer10"]}, if_match=2)
    assert again.json["totals"]["discount"] == yen(396)
    kept = api(made.customer).patch(f"/carts/{found['id']}", json={"method": "pickup"}, if_match=3)
    assert kept.json["coupon_codes"] == ["SUMMER10"]
    many = api(made.customer).post("/carts", json={"coupon_codes": ["A"] * (limits.COUPONS_PER_ORDER + 1)})
    assert many.status_code == 422


def test_why_a_coupon_does_not_count(session: Session, api: Api, admin: Actor, made: Shop, now: datetime) -> None:
    promote(api, admin, needs_coupon=True)
    promote(api, admin, code="SHOP", needs_coupon=True, channels=["store"])
    promote(api, admin, code="AWAY", needs_coupon=True, locations=[made.other.code])
    promote(api, admin, code="CAKE", needs_coupon=True, skus=[made.cake.sku])
    coupon(api, admin, "EARLY", valid_from=(now + HOUR).isoformat())
    coupon(api, admin, "LATE", valid_to=(now + HOUR).isoformat())
    coupon(api, admin, "USED", total_limit=1)
    coupon(api, admin, "GONE")
    for name in ("SHOP", "AWAY", "CAKE"):
        coupon(api, admin, f"{name}1", name)
    assert api(admin).patch("/coupons/gone", json={"active": False}, if_match=1).status_code == 200
    session.execute(text("UPDATE coupon SET used = 1 WHERE code = 'USED'"))
    shown = ["EARLY", "LATE", "USED", "GONE", "SHOP1", "AWAY1"]
    with clock.shifted(HOUR):
        assert reasons(cart(api, made, coupon_codes=["EARLY"])) == [("EARLY", "applied")]
        assert reasons(cart(api, made, coupon_codes=["LATE"])) == [("LATE", "ended")]
    found = dict(reasons(cart(api, made, coupon_codes=[*shown, "CAKE1"])))
    assert found == {
        "EARLY": "not_started",
        "LATE": "applied",
        "USED": "used_up",
        "GONE": "inactive",
        "SHOP1": "other_channel",
        "AWAY1": "other_location",
        "CAKE1": "no_eligible_lines",
    }
    assert dict(reasons(cart(api, made, location=None, coupon_codes=["AWAY1"]))) == {"AWAY1": "other_location"}


def test_coupons_in_bulk(session: Session, api: Api, admin: Actor, made: Shop, unchanged: Unchanged) -> None:
    promote(api, admin, needs_coupon=True)
    body = {"count": 250, "prefix": "spring-", "total_limit": 1}
    answer = api(admin).post("/promotions/TEN/coupons", key="one", json=body)
    codes = answer.json["codes"]
    assert (answer.status_code, len(set(codes))) == (201, 250)
    assert all(code.startswith("SPRING") and set(code[6:]) <= set(ALPHABET) and len(code) == 16 for code in codes)
    with unchanged():
        again = api(admin).post("/promotions/TEN/coupons", key="one", json=body)
    assert (again.json["codes"], again.headers["Idempotent-Replayed"]) == (codes, "true")
    page = api(admin).get("/promotions/TEN/coupons?limit=200").json
    rest = api(admin).get(f"/promotions/TEN/coupons?limit=200&cursor={page['next']}").json
    assert sorted(row["code"] for row in page["items"] + rest["items"]) == sorted(codes)
    assert events(session, "CouponsChanged") == ["CouponsChanged"]
    shown = api(admin).get(f"/coupons/{codes[0].lower()}")
    assert (shown.json["promotion"], shown.json["total_limit"], shown.json["used"]) == ("TEN", 1, 0)


def test_coupons_that_cannot_be(api: Api, admin: Actor, made: Shop, now: datetime, unchanged: Unchanged) -> None:
    promote(api, admin, needs_coupon=True)
    promote(api, admin, code="OPEN")
    coupon(api, admin)
    later = (now + HOUR).isoformat()

    def refused(body: dict[str, Any], promotion: str = "TEN") -> tuple[int, str, str]:
        answer = api(admin).post(f"/promotions/{promotion}/coupons", key="bad", json=body)
        errors = answer.json.get("errors") or [{}]
        return answer.status_code, answer.json["code"], errors[0].get("code", "")

    with unchanged():
        assert refused({"codes": ["summer 10", "NEW-1"]}) == (409, "coupon_code_taken", "taken")
        assert refused({"codes": ["NEW-1", "new1"]}) == (422, "coupon_invalid", "repeated")
        assert refused({"codes": ["--a-"]}) == (422, "coupon_invalid", "length")
        assert refused({"codes": ["A" * 41]}) == (422, "coupon_invalid", "length")
        assert refused({"count": 1, "prefix": "A" * 31}) == (422, "coupon_invalid", "length")
        assert refused({"count": limits.COUPONS_PER_REQUEST + 1}) == (422, "invalid", "invalid")
        assert refused({"count": 1, "codes": ["NEW-1"]}) == (422, "invalid", "invalid")
        assert refused({}) == (422, "invalid", "invalid")
        assert refused({"count": 1, "total_limit": 0}) == (422, "invalid", "invalid")
        assert refused({"count": 1, "valid_from": later, "valid_to": later}) == (422, "coupon_invalid", "backwards")
        assert refused({"count": 1}, "OPEN") == (422, "coupon_invalid", "needs_none")
        assert refused({"count": 1}, "NONE") == (404, "not_found", "")
        assert api(admin).post("/promotions/TEN/coupons", json={"count": 1}).status_code == 400


def test_a_coupon_is_changed(
    session: Session, api: Api, admin: Actor, made: Shop, now: datetime, unchanged: Unchanged
) -> None:
    promote(api, admin, needs_coupon=True)
    coupon(api, admin, total_limit=5)
    session.execute(text("UPDATE coupon SET used = 3"))
    caller, path = api(admin), "/coupons/summer-10"
    with unchanged():
        assert caller.patch(path, json={"total_limit": 4}).status_code == 428
        assert caller.patch(path, json={"total_limit": 4}, if_match=2).status_code == 412
        assert caller.patch(path, json={}, if_match=1).status_code == 422
        assert caller.patch("/coupons/none", json={"total_limit": 4}, if_match=1).status_code == 404
        used = caller.patch(path, json={"total_limit": 2}, if_match=1)
        assert (used.status_code, used.json["code"], used.json["used"]) == (409, "coupon_limit_used", 3)
        moment = now.isoformat()
        ends = caller.patch(path, json={"valid_from": moment, "valid_to": moment}, if_match=1)
        assert (ends.status_code, ends.json["code"]) == (422, "coupon_invalid")
        assert caller.get("/coupons/none").status_code == 404
        assert caller.get("/coupons/none/uses").status_code == 404
        assert caller.get("/promotions/NONE/coupons").status_code == 404
        assert caller.get("/promotions/NONE").status_code == 404
        assert caller.get("/promotions?state=odd").status_code == 422
    changed = caller.patch(path, json={"total_limit": 3, "per_customer_limit": 1}, if_match=1)
    assert (changed.json["total_limit"], changed.json["per_customer_limit"], changed.json["version"]) == (3, 1, 2)


def test_normal_codes() -> None:
    assert coupons.normal("ｓummer－10 ") == "SUMMER10"
    assert coupons.normal_all(["a-1", "A1", "--", "夏 10"]) == ["A1", "夏10"]


def test_promotions_cost_a_cart_no_statement(session: Session, api: Api, admin: Actor, made: Shop) -> None:
    """Offers, promotions and coupons are one statement, whatever there is."""
    found = cart(api, made)
    counts = []
    for codes in ([], ["SUMMER10", "NONE"]):
        api(made.customer).patch(f"/carts/{found['id']}", json={"coupon_codes": codes}, if_match=len(counts) + 1)
        with db.counting() as count:
            assert api(made.customer).get(f"/carts/{found['id']}").status_code == 200
        counts.append(count.statements)
        if not codes:
            for number in range(20):
                promote(api, admin, code=f"P{number}", min_quantity=number + 1)
            promote(api, admin, needs_coupon=True)
            coupon(api, admin, per_customer_limit=1)
    assert counts == [4, 4]  # authenticate, cart, offers with promotions, location
