"""Keys and human references.

Keys are UUIDv7 (RFC 9562, 5.7): unique without asking the database, and growing, so that indexes stay dense.
References are for paper, the phone and QR codes: 31 characters without look-alikes (no 0 O 1 I L) and a check digit.
31 is prime, so a sum weighted 1, 2, 3 ... modulo 31 catches every single wrong character and every swap of two
neighbours (Verhoeff 1969; the scheme of ISBN-10 with 31 in the place of 11).
"""

import os
import time
import unicodedata
import uuid
from hashlib import sha256
from hmac import new as hmac_new

ALPHABET = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"
_BASE = len(ALPHABET)
_VALUE = {character: position for position, character in enumerate(ALPHABET)}
REFERENCE_LENGTH = 10
CODE_LENGTH = 6


def new_id() -> uuid.UUID:
    """A fresh UUIDv7. Ids of one process grow with time, also within a millisecond (RFC 9562, 6.2, method 3)."""
    milliseconds, nanoseconds = divmod(time.time_ns(), 1_000_000)
    fraction = nanoseconds * 4096 // 1_000_000  # 12 bits: steps of a quarter of a microsecond
    random = int.from_bytes(os.urandom(8), "big") & (1 << 62) - 1
    value = (milliseconds & 0xFFFFFFFFFFFF) << 80 | 0x7 << 76 | fraction << 64 | 0b10 << 62 | random
    return uuid.UUID(int=value)


def check_character(body: str) -> str:
    """The character that makes `body` + it a valid reference. `body` holds characters of ALPHABET only."""
    total = sum(weight * _VALUE[character] for weight, character in enumerate(body, start=1))
    # weight of the check digit is len+1; solve total + (len + 1) * check = 0 (mod 31)
    return ALPHABET[-total * pow(len(body) + 1, -1, _BASE) % _BASE]


def is_valid(body: str) -> bool:
    """Whether a compact code (no prefix, no hyphens) carries the right check character."""
    return len(body) > 1 and all(c in _VALUE for c in body) and check_character(body[:-1]) == body[-1]


def new_reference(prefix: str) -> str:
    """A fresh reference such as ``R-7K2M9-QW4XK``: nine random characters and one check digit (2.6e13 of them)."""
    body = "".join(ALPHABET[byte % _BASE] for byte in os.urandom(32) if byte < 248)[: REFERENCE_LENGTH - 1]
    while len(body) < REFERENCE_LENGTH - 1:
        body += ALPHABET[int.from_bytes(os.urandom(4), "big") % _BASE]
    return format_reference(prefix, body + check_character(body))


def format_reference(prefix: str, body: str) -> str:
    """``R`` and ``7K2M9QW4XK`` as ``R-7K2M9-QW4XK``."""
    half = (len(body) + 1) // 2
    return f"{prefix}-{body[:half]}-{body[half:]}"


def parse_reference(text: str, prefix: str) -> str | None:
    """The canonical form of a reference as a person typed it (case, width, spaces and hyphens do not matter).

    Returns None when it is not one of ours: wrong prefix, length, character or check digit.
    """
    compact = "".join(c for c in unicodedata.normalize("NFKC", text).upper() if c.isalnum())
    body = compact.removeprefix(prefix)
    if len(body) == REFERENCE_LENGTH and compact.startswith(prefix) and is_valid(body):
        return format_reference(prefix, body)
    return None


def parse_uuid(text: str) -> uuid.UUID | None:
    """The key in `text`, or None."""
    try:
        return uuid.UUID(text)
    except (ValueError, AttributeError, TypeError):
        return None


def derive_code(secret: str, purpose: str, subject: str, *, length: int = CODE_LENGTH) -> str:
    """A short code (with the check digit at its end, e.g. ``K7M2QX``) that only the holder of `secret` can work out; up to 24
    characters.

    The code need not be stored to be shown again; the database keeps `fingerprint` of it alone.
    """
    number = int.from_bytes(hmac_new(secret.encode(), f"{purpose}:{subject}".encode(), sha256).digest()[:16], "big")
    body = ""
    for _ in range(length - 1):
        number, digit = divmod(number, _BASE)
        body += ALPHABET[digit]
    return body + check_character(body)


def derive_token(secret: str, purpose: str, subject: str) -> str:
    """A long token (160 bits, hexadecimal) for QR codes and links, derived like `derive_code`."""
    return hmac_new(secret.encode(), f"{purpose}:{subject}".encode(), sha256).hexdigest()[:40]


def parse_code(text: str, *, length: int = CODE_LENGTH) -> str | None:
    """A short code as typed, made compact; None when its check digit is wrong (costs the customer no attempt)."""
    compact = "".join(c for c in unicodedata.normalize("NFKC", text).upper() if c.isalnum())
    return compact if len(compact) == length and is_valid(compact) else None


def fingerprint(secret: str, value: str) -> str:
    """What the database stores of a secret value: HMAC-SHA256, hexadecimal, so that a stolen table cannot be searched."""
    return hmac_new(secret.encode(), value.encode(), sha256).hexdigest()
