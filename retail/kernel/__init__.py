"""Plumbing that knows no business word. Nothing in here imports anything of the shop."""
