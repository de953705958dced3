"""What the ground floor's JSON looks like; answers are ``<Noun>Schema``, bodies ``<Verb><Noun>Schema``."""

from retail.schemas.money import MoneySchema, money

__all__ = ["MoneySchema", "money"]
