"""Addresses and numbers that may name a customer: one written form for each, and how sure a link is.

The ladder is ``claimed`` (somebody typed it) < ``observed`` (a channel or a member of staff saw it in use) <
``attested`` (the customer answered a code sent there) < ``verified`` (staff checked a document). From ``attested`` on,
a link is proof.
"""

import re
import unicodedata
from dataclasses import dataclass

import phonenumbers

from retail import limits
from retail.kernel.errors import Invalid
from retail.models import ASSURANCES, IDENTITY_KINDS

RANK = {assurance: rank for rank, assurance in enumerate(ASSURANCES)}
PROVEN = RANK["attested"]

# Local part and domain without spaces, quotes, brackets, separators or control characters: no display names, no lists,
# and nothing that could end a mail header. Quoted local parts (RFC 5321, 4.1.2) are refused on purpose.
_EMAIL = re.compile(r'([^\s@<>()\[\]",;:\\\x00-\x1f\x7f]{1,64})@([^\s@<>()\[\]",;:\\\x00-\x1f\x7f]{1,253})')
_LABEL = re.compile(r"[^\W_](?:[\w-]{0,61}[^\W_])?")
_CARD = re.compile(r"[0-9A-Z]{4,32}")


class IdentityInvalid(Invalid):
    """The text is not an address or number of that kind."""

    code, title = "identity_invalid", "This is not a valid address or number"


@dataclass(frozen=True, slots=True)
class NewIdentity:
    """An identity to be linked: kind and value (as typed or normalized), and how sure that is."""

    kind: str
    value: str
    assurance: str = "claimed"


def normalize(kind: str, value: str, *, region: str) -> str:
    """The one written form of an identity; normalizing twice changes nothing.

    email: NFKC and casefold, no display name. phone: E.164, read as dialed in `region` (ISO 3166) when it has no country
    code; full-width digits are digits. card: letters and digits, upper case. external: NFKC, trimmed.

    Raises:
        Invalid: it is none of that kind (code ``identity_invalid``, `errors` names the kind).
    """
    text = unicodedata.normalize("NFKC", value).strip()
    if kind not in IDENTITY_KINDS:
        raise _refused(kind, f"kind must be one of {', '.join(IDENTITY_KINDS)}")
    if not text or len(text) > limits.IDENTITY_CHARACTERS:
        raise _refused(kind, f"1 to {limits.IDENTITY_CHARACTERS} characters")
    if kind == "email":
        return _email(text)
    if kind == "phone":
        return _phone(text, region)
    if kind == "card":
        compact = "".join(character for character in text.upper() if character not in " -‐‑–−ー")
        if not _CARD.fullmatch(compact):
            raise _refused(kind, "4 to 32 letters and digits")
        return compact
    if not text.isprintable():
        raise _refused(kind, "printable characters only")
    return text


def _email(text: str) -> str:
    folded = unicodedata.normalize("NFKC", text.casefold())
    found = _EMAIL.fullmatch(folded)
    if found is None or len(folded) > limits.IDENTITY_CHARACTERS:
        raise _refused("email", "name@example.com, without a display name")
    local, domain = found.groups()
    labels = domain.split(".")
    if local.startswith(".") or local.endswith(".") or ".." in local or not local.isprintable():
        raise _refused("email", "the part before @ is not valid")
    if len(labels) < 2 or not all(_LABEL.fullmatch(label) for label in labels):
        raise _refused("email", "the part after @ is not a domain")
    return folded


def _phone(text: str, region: str) -> str:
    try:
        number = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException as error:
        raise _refused("phone", "not a telephone number") from error
    # `possible`, not `valid`: a range opened after our metadata must not lock its customers out. An extension is refused:
    # dropping it would make one person of everybody behind a switchboard.
    if not phonenumbers.is_possible_number(number) or number.extension:
        raise _refused("phone", "not a telephone number without extension")
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def _refused(kind: str, detail: str) -> IdentityInvalid:
    return IdentityInvalid(errors=[{"field": kind, "code": "invalid", "detail": detail}])
