"""How much of what is where, and what may be promised."""
