"""Where an order's goods come from: plans.py makes the plans, rules.py chooses, deciding.py reads the facts and tells why.

Nothing is taken here. Whoever places an order asks for a decision, takes the stock by it in one guarded statement, and, when
somebody else was faster, asks again.
"""

from orders.sourcing.deciding import Decision, Destination, SplitNotWorth, address, decide, store, write_down
from orders.sourcing.plans import Want

__all__ = ["Decision", "Destination", "SplitNotWorth", "Want", "address", "decide", "store", "write_down"]
