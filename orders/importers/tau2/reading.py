"""db.json as it stands: plain dataclasses, money in cents. Nothing of the shop is known here."""

import gzip
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from retail.kernel.errors import Invalid

COUNTRIES = {"USA": "US"}
STATES = ("pending", "processed", "delivered", "cancelled")


class Unreadable(Invalid):
    """The file is not what it should be; the message says where."""

    code, title = "unreadable_file", "The file cannot be read"


@dataclass(frozen=True, slots=True)
class Item:
    """One variant: price in cents, whether it can be had."""

    id: str
    options: dict[str, Any]
    available: bool
    price_minor: int


@dataclass(frozen=True, slots=True)
class Product:
    """A product with its variants."""

    id: str
    name: str
    items: tuple[Item, ...]


@dataclass(frozen=True, slots=True)
class Method:
    """A user's way to pay; a gift card has a balance in cents."""

    id: str
    source: str
    brand: str
    last_four: str
    balance_minor: int


@dataclass(frozen=True, slots=True)
class User:
    """A customer."""

    id: str
    name: str
    email: str
    address: dict[str, str]
    methods: tuple[Method, ...]


@dataclass(frozen=True, slots=True)
class Transaction:
    """Money that came (payment) or went (refund) by a method, cents."""

    kind: str
    method_id: str
    amount_minor: int


@dataclass(frozen=True, slots=True)
class OrderItem:
    """One unit of a variant, at the price it was sold for."""

    item_id: str
    product_id: str
    name: str
    price_minor: int


@dataclass(frozen=True, slots=True)
class Order:
    """One order; every item is one unit."""

    id: str
    user_id: str
    address: dict[str, str]
    items: tuple[OrderItem, ...]
    status: str
    transactions: tuple[Transaction, ...]
    tracking: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Source:
    """The whole shop."""

    products: tuple[Product, ...]
    users: tuple[User, ...]
    orders: tuple[Order, ...]


def read(path: Path) -> Source:
    """Read db.json, plain or gzipped.

    Raises:
        Unreadable: it is no such file, or an entry has another shape; nothing is known of the shop then.
    """
    try:
        raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        data = json.loads(raw)
        return Source(
            tuple(_product(one) for one in data["products"].values()),
            tuple(_user(one) for one in data["users"].values()),
            tuple(_order(one) for one in data["orders"].values()),
        )
    except (OSError, EOFError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise Unreadable(f"{path.name}: {type(error).__name__}: {error}") from error


def cents(amount: float) -> int:
    """Dollars as cents; the file's floats carry noise in the last digits."""
    return round(amount * 100)


def address_of(given: Mapping[str, str], name: str = "") -> dict[str, str]:
    """An address in the shop's words (AddressSchema)."""
    return {
        "name": name,
        "phone": "",
        "postal_code": given["zip"],
        "region": given["state"],
        "city": given["city"],
        "line1": given["address1"],
        "line2": given["address2"],
        "country": COUNTRIES.get(given["country"], given["country"][:2].upper()),
    }


def _product(given: Mapping[str, Any]) -> Product:
    items = (
        Item(one["item_id"], dict(one["options"]), bool(one["available"]), cents(one["price"]))
        for one in given["variants"].values()
    )
    return Product(given["product_id"], given["name"], tuple(items))


def _user(given: Mapping[str, Any]) -> User:
    methods = (
        Method(one["id"], one["source"], one.get("brand", ""), one.get("last_four", ""), cents(one.get("balance", 0)))
        for one in given["payment_methods"].values()
    )
    name = f"{given['name']['first_name']} {given['name']['last_name']}"
    return User(given["user_id"], name, given["email"], address_of(given["address"]), tuple(methods))


def _order(given: Mapping[str, Any]) -> Order:
    if given["status"] not in STATES:
        raise ValueError(f"order {given['order_id']} is {given['status']}")
    return Order(
        given["order_id"],
        given["user_id"],
        address_of(given["address"]),
        tuple(OrderItem(one["item_id"], one["product_id"], one["name"], cents(one["price"])) for one in given["items"]),
        given["status"],
        tuple(
            Transaction(one["transaction_type"], one["payment_method_id"], cents(one["amount"]))
            for one in given["payment_history"]
        ),
        tuple(number for part in given["fulfillments"] for number in part["tracking_id"]),
    )
