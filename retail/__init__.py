"""The ground floor: who, what and where, shared by every other package."""
