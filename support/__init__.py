"""The customer, seen whole. Nobody imports this package but app.py."""
