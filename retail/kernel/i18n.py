"""Japanese and English: texts from the packages' `.po` files, dates and money in the reader's habit. No Flask here.

English is the language of the source: a text's English form is its key. Each package that speaks to people keeps
`translations/<locale>.po` and announces the folder with `add`; the files are read once, nothing compiled is kept.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from babel.dates import format_date, format_datetime, format_time
from babel.messages.pofile import read_po
from babel.numbers import format_currency, format_decimal

from retail.kernel.money import exponent

LOCALES = ("ja", "en")
LOCALE_NAMES = {"ja": "日本語", "en": "English"}
SOURCE = "en"
_LETTER_BESIDE_DIGIT = re.compile(r"(?<=[A-Za-z])(?=\d)|(?<=\d)(?=[A-Za-z])")
_folders: dict[Path, None] = {}
_catalogs: dict[str, "Texts"] = {}


@dataclass(frozen=True, slots=True)
class Texts:
    """One language: `gettext` and `ngettext` as Jinja's i18n extension and Python code call them."""

    locale: str
    messages: Mapping[str, tuple[str, ...]]

    def gettext(self, text: str, /, **values: Any) -> str:
        """`text` in this language, `%(name)s` filled in; a text without translation stays English."""
        found = self.messages.get(text, (text,))[0]
        return found % values if values else found

    def ngettext(self, one: str, many: str, number: int, /, **values: Any) -> str:
        """The form for `number` (Japanese has one form); `%(num)s` is the number."""
        return self.plural(one, many, number) % ({"num": number} | values)

    def plural(self, one: str, many: str, number: int) -> str:
        """The same before anything is filled in (Jinja's i18n extension fills in by itself)."""
        forms = self.messages.get(one, (one, many))
        return forms[0] if number == 1 or len(forms) == 1 else forms[1]

    def money(self, amount: Mapping[str, Any]) -> str:
        """``{"amount_minor": 1980, "currency": "JPY"}`` as people write it."""
        currency = str(amount["currency"])
        value = Decimal(int(amount["amount_minor"])).scaleb(-exponent(currency))
        written = str(format_currency(value, currency, locale=self.locale))
        # A code beside a number is set apart (CLDR's currencySpacing, which Babel leaves out): KWD 2.970, but $2.97.
        return _LETTER_BESIDE_DIGIT.sub("\N{NO-BREAK SPACE}", written)

    def number(self, value: int) -> str:
        """A whole number with the language's separators."""
        return str(format_decimal(value, locale=self.locale))

    def moment(self, at: datetime | str | None, zone: str = "Asia/Tokyo", *, form: str = "datetime") -> str:
        """A moment in a zone: `form` is datetime, date or time. Empty for None."""
        if at is None or at == "":
            return ""
        instant = datetime.fromisoformat(at) if isinstance(at, str) else at
        local = instant.astimezone(ZoneInfo(zone))
        pattern = {"ja": "y年M月d日(E) HH:mm", "en": "EEE, d MMM y, HH:mm"}[self.locale]
        if form == "date":
            return str(
                format_date(local, {"ja": "y年M月d日(E)", "en": "EEE, d MMM y"}[self.locale], locale=self.locale)
            )
        if form == "short":
            return str(
                format_datetime(
                    local, {"ja": "M/d(E) HH:mm", "en": "EEE d MMM, HH:mm"}[self.locale], locale=self.locale
                )
            )
        if form == "time":
            return str(format_time(local, "HH:mm", locale=self.locale))
        return str(format_datetime(local, pattern, locale=self.locale))


def add(folder: Path) -> None:
    """Announce a package's translations (at import of what speaks); the files are read at the first use."""
    if folder not in _folders:
        _folders[folder] = None
        _catalogs.clear()


def folders() -> list[Path]:
    """The announced folders, in order."""
    return list(_folders)


def texts(locale: str) -> Texts:
    """The language `locale`; English for one that we do not speak."""
    wanted = locale if locale in LOCALES else SOURCE
    if wanted not in _catalogs:
        messages: dict[str, tuple[str, ...]] = {}
        for folder in _folders:
            messages.update(read(folder / f"{wanted}.po"))
        _catalogs[wanted] = Texts(wanted, messages)
    return _catalogs[wanted]


def read(path: Path) -> dict[str, tuple[str, ...]]:
    """The translated messages of one `.po` file; none when there is no such file."""
    if not path.exists():
        return {}
    with path.open("rb") as file:
        catalog = read_po(file, locale=path.stem)
    found: dict[str, tuple[str, ...]] = {}
    for message in catalog:
        key = message.id[0] if isinstance(message.id, (tuple, list)) else message.id
        value = message.string if isinstance(message.string, (tuple, list)) else (message.string,)
        if key and all(value):
            found[key] = tuple(str(form) for form in value)
    return found


def N_(text: str) -> str:
    """Marks a text for translation where it cannot be translated yet (constants, tables)."""
    return text
