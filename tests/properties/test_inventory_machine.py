"""Every operation on stock, in any order: receipts, adjustments, damage, holds, orders beyond what is here, bundles,
handovers, moves, transfers, deliveries, counts, limits, rules and writes from outside.

After each step levels equal the sum of their movements and of the reservations; nothing is negative; every unit is at a
location, on its way, or accounted for as gone; every promise is here, awaited or known to be missing; nobody waits for goods
that lie on the shelf; and the numbers are those that shelves.py works out in plain Python.
"""

from datetime import datetime

from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test
from sqlalchemy.orm import Session

from tests.properties.inventory_papers import InventoryPapers


def test_inventory_is_what_plain_python_says(session: Session, now: datetime) -> None:
    class Machine(InventoryPapers):
        pass

    Machine.session, Machine.start = session, now
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=100,
            stateful_step_count=30,
            deadline=None,
            derandomize=True,
            phases=[Phase.explicit, Phase.generate],  # a failure is told as it was found: to shrink it takes minutes
            suppress_health_check=list(HealthCheck),
        ),
    )
