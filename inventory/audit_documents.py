"""Do deliveries and transfers say what the movements say? A unit that a document has received is one that came in because of it.

A fourth account of the same units (see audit.py): lines of documents against the movements that carry the document's id.
"""

from collections.abc import Iterator

from sqlalchemy.orm import Session

from inventory import queries
from retail.audit import Divergence


def divergences_of_documents(session: Session) -> Iterator[Divergence]:
    """Every line whose units its movements do not explain, and every closed document that still expects or promises some.

    None of them can be repaired by program: somebody has to say which of the two happened.
    """
    for row in queries.inbound_against_movements(session):
        stored = "no line" if row.stored is None else "received {}, damaged {}".format(*row.stored)
        rebuilt = "received {}, damaged {}".format(*row.from_movements)
        yield Divergence("inbound_line", f"{row.reference} {row.sku}", stored, rebuilt)
    names = "shipped {}, received {}, damaged {}, returned {}"
    for row in queries.transfers_against_movements(session):
        stored = "no line" if row.stored is None else names.format(*row.stored)
        yield Divergence("transfer_line", f"{row.reference} {row.sku}", stored, names.format(*row.from_movements))
    for row in queries.unfinished_documents(session):
        yield Divergence(row.document, row.reference, f"{row.state}, {row.units} units {row.what}", "0 units")
