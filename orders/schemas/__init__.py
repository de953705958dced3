"""What the JSON of orders, carts and pickups looks like; answers are ``<Noun>Schema``, bodies ``<Verb><Noun>Schema``."""
