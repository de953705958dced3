"""Points: a double-entry ledger with dated lots; one balance on every channel."""
