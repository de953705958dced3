"""What a replay counts while it runs, what it could not match, and what does not hold."""

from collections import Counter
from dataclasses import dataclass, field

FAULTS_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Unmatched:
    """Units of a cancellation's line for which no earlier sale to the member is left."""

    line: int
    invoice: str
    units: int
    of: int


@dataclass(frozen=True, slots=True)
class Side:
    """One figure as the ledger has it and as it was counted."""

    name: str
    ledger: int
    counted: int


@dataclass(slots=True)
class Account:
    """Counted by the replay: `happened` by name; points by rule, rows of the books, `sides` and members by tier from the database
    at the end. `checks`: how often everything was compared."""

    happened: Counter[str] = field(default_factory=Counter)
    unmatched: list[Unmatched] = field(default_factory=list)
    sides: list[Side] = field(default_factory=list)
    by_rule: dict[str, int] = field(default_factory=dict)
    by_tier: dict[str, int] = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=dict)
    checks: int = 0
    seconds: float = 0.0
    living_seconds: float = 0.0
    faults: list[str] = field(default_factory=list)
    more_faults: int = 0

    def fault(self, sentence: str) -> None:
        """Something does not hold; of very many the first are told."""
        if len(self.faults) < FAULTS_SHOWN:
            self.faults.append(sentence)
        else:
            self.more_faults += 1
