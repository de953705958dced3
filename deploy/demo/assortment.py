"""What the demo's shop sells: an invented Japanese assortment of tea, sweets, stationery, tableware and things for the house, about 200 variants.

Food is taxed at the reduced rate. Prices are in yen with tax; in dollars, without, they follow from them.
"""

from collections.abc import Iterator
from dataclasses import dataclass

YEN_PER_CENT = 1.65  # 150 yen to the dollar, and 10 % tax taken off


@dataclass(frozen=True, slots=True)
class Article:
    """One variant: its price in yen, tax included."""

    sku: str
    title: str
    title_ja: str
    option: tuple[str, str]
    yen: int

    @property
    def cents(self) -> int:
        """The price in US cents, tax excluded, rounded to ten cents."""
        return round(self.yen / YEN_PER_CENT / 10) * 10


@dataclass(frozen=True, slots=True)
class Family:
    """One product with its variants."""

    code: str
    title: str
    title_ja: str
    category: str
    tax_class: str
    articles: tuple[Article, ...]


_TEAS = (
    ("SENCHA", "Uji sencha", "宇治煎茶", 1080),
    ("GYOKURO", "Yame gyokuro", "八女玉露", 2160),
    ("HOJICHA", "Kyoto hojicha", "京ほうじ茶", 756),
    ("GENMAI", "Genmaicha", "玄米茶", 702),
    ("MATCHA", "Nishio matcha", "西尾抹茶", 1944),
    ("BANCHA", "Smoked bancha", "京番茶", 594),
    ("KOCHA", "Shizuoka black tea", "静岡和紅茶", 1188),
    ("SOBA", "Shinshu buckwheat tea", "信州そば茶", 648),
    ("YUZU", "Yuzu green tea", "柚子煎茶", 918),
    ("SAKURA", "Cherry blossom tea", "桜緑茶", 972),
    ("KUKI", "Kaga stem tea", "加賀棒茶", 864),
)
_SIZES = (("30", "30 g", "30g", 40), ("80", "80 g", "80g", 100), ("200", "200 g", "200g", 220))
_SWEETS = (
    ("YOKAN", "Azuki yokan", "小豆羊羹", 864),
    ("DORA", "Dorayaki", "どら焼き", 1080),
    ("SENBEI", "Soy sauce senbei", "醤油煎餅", 648),
    ("KONPEI", "Konpeito", "金平糖", 540),
    ("MONAKA", "Monaka", "最中", 1296),
    ("CASTEL", "Nagasaki castella", "長崎カステラ", 1620),
    ("KINAKO", "Kinako cookies", "きな粉クッキー", 756),
    ("MOCHI", "Walnut mochi", "くるみ餅", 918),
    ("AME", "Kyoto candy", "京飴", 432),
    ("NORI", "Roasted nori", "焼き海苔", 972),
)
_BOXES = (("5", "box of 5", "5個入", 100), ("10", "box of 10", "10個入", 190))
_PAPERS = (
    ("WASHI", "Washi notebook", "和紙ノート", 880),
    ("GRID", "Grid notebook", "方眼ノート", 660),
    ("DIARY", "Linen diary", "麻布日記帳", 1980),
    ("SKETCH", "Sketchbook", "スケッチブック", 1320),
)
_FORMATS = (("A6", 70), ("A5", 100), ("B5", 130))
_INKS = (
    ("AI", "indigo", "藍"),
    ("BENI", "crimson", "紅"),
    ("MATSU", "pine green", "松葉"),
    ("SUMI", "ink black", "墨"),
    ("FUJI", "wisteria", "藤"),
    ("KAKI", "persimmon", "柿"),
)
_WRITING = (
    ("BRUSH", "Brush pen", "筆ペン", 550),
    ("FOUNT", "Fountain pen", "万年筆", 5500),
    ("BALL", "Brass ballpoint pen", "真鍮ボールペン", 3300),
    ("INK", "Bottled ink", "瓶入りインク", 1650),
    ("TAPE", "Washi tape", "マスキングテープ", 330),
    ("LETTER", "Letter set", "便箋セット", 770),
)
_WARE = (
    ("YUNOMI", "Tea cup", "湯呑み", 2200),
    ("KYUSU", "Teapot", "急須", 6600),
    ("CHAWAN", "Rice bowl", "飯碗", 2750),
    ("KOZARA", "Small plate", "小皿", 990),
    ("TOKKURI", "Sake bottle", "徳利", 3300),
    ("GUINOMI", "Sake cup", "ぐい呑み", 1650),
    ("HANAIRE", "Flower vase", "花入れ", 4400),
    ("HASHIOKI", "Chopstick rest", "箸置き", 550),
)
_GLAZES = (
    ("SHIRO", "white glaze", "白釉"),
    ("AO", "celadon", "青磁"),
    ("KURO", "tenmoku black", "天目"),
    ("BIZEN", "Bizen clay", "備前"),
    ("SOMETSUKE", "blue and white", "染付"),
)
_HOME = (
    ("INCENSE", "Incense sticks", "お香", 1320),
    ("CANDLE", "Wax tree candle", "和蝋燭", 1980),
    ("SOAP", "Rice bran soap", "米ぬか石鹸", 880),
    ("BATH", "Bath salts", "入浴剤", 660),
    ("CREAM", "Hand cream", "ハンドクリーム", 1540),
    ("MIST", "Linen mist", "リネンミスト", 2420),
)
_SCENTS = (
    ("HINOKI", "cypress", "檜"),
    ("YUZU", "yuzu", "柚子"),
    ("SAKURA", "cherry blossom", "桜"),
    ("BYAKUDAN", "sandalwood", "白檀"),
    ("KINMOKU", "fragrant olive", "金木犀"),
    ("YOMOGI", "mugwort", "蓬"),
)
_CLOTH = (
    ("FURO", "Furoshiki cloth", "風呂敷", 2640),
    ("TENU", "Tenugui towel", "手ぬぐい", 1210),
    ("COAST", "Coaster set", "コースター", 1540),
    ("APRON", "Linen apron", "麻エプロン", 4950),
)
_PATTERNS = (
    ("SEIGAI", "wave pattern", "青海波"),
    ("ASANOHA", "hemp leaf pattern", "麻の葉"),
    ("SHIPPO", "seven treasures", "七宝"),
    ("ICHIMATSU", "checker pattern", "市松"),
    ("YAGASURI", "arrow feather pattern", "矢絣"),
    ("KARAKUSA", "arabesque", "唐草"),
)


def families() -> Iterator[Family]:
    """Every product, in the same order each time."""
    for code, title, title_ja, yen in _TEAS:
        kinds = tuple((size, en, ja, percent) for size, en, ja, percent in _SIZES)
        yield _family(f"TEA-{code}", title, title_ja, "tea", yen, kinds, option="size", tax_class="reduced")
    for code, title, title_ja, yen in _SWEETS:
        yield _family(f"SWEET-{code}", title, title_ja, "sweets", yen, _BOXES, option="box", tax_class="reduced")
    for code, title, title_ja, yen in _PAPERS:
        kinds = tuple((size, size, size, percent) for size, percent in _FORMATS)
        yield _family(f"NOTE-{code}", title, title_ja, "stationery", yen, kinds, option="format")
    for code, title, title_ja, yen in _WRITING:
        yield _family(f"PEN-{code}", title, title_ja, "stationery", yen, _same_price(_INKS), option="color")
    for code, title, title_ja, yen in _WARE:
        yield _family(f"WARE-{code}", title, title_ja, "tableware", yen, _same_price(_GLAZES), option="glaze")
    for code, title, title_ja, yen in _HOME:
        yield _family(f"HOME-{code}", title, title_ja, "household", yen, _same_price(_SCENTS), option="scent")
    for code, title, title_ja, yen in _CLOTH:
        yield _family(f"CLOTH-{code}", title, title_ja, "textiles", yen, _same_price(_PATTERNS), option="pattern")


Kinds = tuple[tuple[str, str, str, int], ...]


def _same_price(kinds: tuple[tuple[str, str, str], ...]) -> Kinds:
    return tuple((code, en, ja, 100) for code, en, ja in kinds)


def _family(
    code: str,
    title: str,
    title_ja: str,
    category: str,
    yen: int,
    kinds: Kinds,
    *,
    option: str,
    tax_class: str = "standard",
) -> Family:
    """The price of a kind is a percentage of the family's, rounded to ten yen."""
    articles = tuple(
        Article(f"{code}-{kind}", f"{title}, {en}", f"{title_ja} {ja}", (option, en), round(yen * percent / 1000) * 10)
        for kind, en, ja, percent in kinds
    )
    return Family(code, title, title_ja, category, tax_class, articles)
