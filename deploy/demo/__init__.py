"""Everything `retail demo` needs around the shop: a supervisor, a mailbox, the card network's stand-in."""
