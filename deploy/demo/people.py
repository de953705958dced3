"""The demo's people: thirty customers with what identifies them, staff of every role, and the API clients."""

from dataclasses import dataclass

PASSWORD = "komorebi-demo-1"  # noqa: S105 - printed for whoever looks at the demo; the demo runs on the loopback interface alone


@dataclass(frozen=True, slots=True)
class Person:
    """A customer. Her email, phone and card follow from her place in the list."""

    name: str
    mailbox: str
    locale: str = "ja"


@dataclass(frozen=True, slots=True)
class Colleague:
    """A member of staff; `store` binds associates and managers to it."""

    login: str
    name: str
    role: str
    store: str | None = None
    locale: str = "ja"


@dataclass(frozen=True, slots=True)
class Client:
    """An API client; `store` makes it that store's till."""

    name: str
    channel: str
    scopes: tuple[str, ...]
    store: str | None = None


HANAKO = Person("山田 花子", "hanako.yamada")
CUSTOMERS = (
    HANAKO,
    Person("佐藤 健", "ken.sato"),
    Person("鈴木 美咲", "misaki.suzuki"),
    Person("高橋 翔太", "shota.takahashi"),
    Person("田中 陽子", "yoko.tanaka"),
    Person("伊藤 大輔", "daisuke.ito"),
    Person("渡辺 さくら", "sakura.watanabe"),
    Person("中村 誠", "makoto.nakamura"),
    Person("小林 由美", "yumi.kobayashi"),
    Person("加藤 拓海", "takumi.kato"),
    Person("吉田 恵子", "keiko.yoshida"),
    Person("山本 直樹", "naoki.yamamoto"),
    Person("佐々木 愛", "ai.sasaki"),
    Person("山口 浩", "hiroshi.yamaguchi"),
    Person("松本 千尋", "chihiro.matsumoto"),
    Person("井上 隆", "takashi.inoue"),
    Person("木村 葵", "aoi.kimura"),
    Person("林 修一", "shuichi.hayashi"),
    Person("清水 真理", "mari.shimizu"),
    Person("斎藤 悠", "yu.saito"),
    Person("阿部 久美子", "kumiko.abe"),
    Person("森 健太郎", "kentaro.mori"),
    Person("池田 桃子", "momoko.ikeda"),
    Person("橋本 涼", "ryo.hashimoto"),
    Person("Emma Clarke", "emma.clarke", "en"),
    Person("Liam Murphy", "liam.murphy", "en"),
    Person("Sofia Rossi", "sofia.rossi", "en"),
    Person("Noah Fischer", "noah.fischer", "en"),
    Person("Mei Lin Chen", "meilin.chen", "en"),
    Person("Arjun Patel", "arjun.patel", "en"),
)
STAFF = (
    Colleague("shibuya", "青木 優", "associate", "SHIBUYA"),
    Colleague("shibuya-manager", "藤田 和子", "manager", "SHIBUYA"),
    Colleague("kyoto", "村上 蓮", "associate", "KYOTO"),
    Colleague("sapporo", "近藤 舞", "associate", "SAPPORO"),
    Colleague("agent", "Mika Ogawa", "agent", locale="en"),
    Colleague("supervisor", "岡田 仁", "supervisor"),
    Colleague("analyst", "長谷川 翠", "analyst"),
    Colleague("admin", "Alex Hara", "admin", locale="en"),
)
_SHOPPING = (
    "catalog.read",
    "stores.read",
    "stock.read",
    "carts.write",
    "orders.place",
    "auth.customers",
    "points.spend_for",
)
_SELLING = ("catalog.read", "stores.read", "stock.read", "carts.write", "orders.place", "till.sell", "members.work")
CLIENTS = (
    Client("web storefront", "web", _SHOPPING),
    Client("mobile app", "app", _SHOPPING),
    Client("international web store", "global", _SHOPPING),
    Client("till Shibuya", "store", _SELLING, "SHIBUYA"),
    Client("till Kyoto", "store", _SELLING, "KYOTO"),
    Client("till Sapporo", "store", _SELLING, "SAPPORO"),
)
STOREFRONT = CLIENTS[0]


def email_of(person: Person) -> str:
    """In the domain that is kept for examples (RFC 2606)."""
    return f"{person.mailbox}@example.com"


def phone_of(person: Person) -> str:
    """As a Japanese customer would say it."""
    number = CUSTOMERS.index(person) + 1
    return f"090-{1000 + 37 * number:04}-{5600 + number:04}"


def card_of(person: Person) -> str:
    """The number on her loyalty card."""
    return f"KMB{20260000 + 7 * (CUSTOMERS.index(person) + 1)}"
