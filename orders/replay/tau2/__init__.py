"""tau2-bench's retail tasks, done through the API: each task's actions in order, then the end state beside the data set's.

What the data set's reference tools refuse, this shop must refuse; what they do, it must do, to the cent. `acting` says how
an action is done here, `state` how an order, a user and a card look in the data set's words, `running` does it all.
"""

from orders.replay.tau2.running import Account, Outcome, run

__all__ = ["Account", "Outcome", "run"]
