"""Proofs by measuring: our speed beside the database's own limit, and no unit sold twice under load."""
