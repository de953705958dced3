"""/pick-lists: one walk along the shelves for several orders."""

from typing import Any
from uuid import UUID

from orders import counter, picking
from orders.picking import Confirmed
from orders.schemas import pick_lists as schemas
from retail.kernel.idempotency import Claim
from retail.kernel.web.api import Answer, ApiBlueprint, Call

blp = ApiBlueprint("pick_lists", __name__, url_prefix="/api/v1", description="One walk for several orders")
BLUEPRINTS = [blp]
ONE = "/pick-lists/<uuid:list_id>"


@blp.write(
    "POST",
    "/pick-lists",
    permission="pickups.work",
    body=schemas.MakePickListSchema,
    answer=schemas.PickListSchema,
    status=201,
    idempotent=True,
)
def make_pick_list(session: Any, call: Call, body: dict[str, Any]) -> dict[str, Any]:
    """Take the next pickups and shipments of a location into one list for one picker. Two who ask at once share none."""
    return picking.make_list(session, **body, caller=call.principal, now=call.now)


@blp.read(ONE, permission="pickups.read", answer=schemas.PickListSchema)
def get_pick_list(session: Any, call: Call, list_id: UUID) -> dict[str, Any]:
    """What is left of a list, by shelf, and what it is for."""
    return picking.view(session, list_id=list_id, caller=call.principal)


@blp.write(
    "POST",
    f"{ONE}/assignment",
    permission="pickups.work",
    body=schemas.AssignPickListSchema,
    answer=schemas.PickListSchema,
    idempotent=True,
)
def assign_pick_list(session: Any, call: Call, list_id: UUID, body: dict[str, Any]) -> dict[str, Any]:
    """Give what is left of it to somebody else."""
    return picking.reassign(session, list_id=list_id, picker_id=body["picker_id"], caller=call.principal)


@blp.write(
    "POST",
    f"{ONE}/give-back",
    permission="pickups.work",
    body=schemas.GiveBackPickListSchema,
    answer=schemas.PickListSchema,
    idempotent=True,
)
def give_back_pick_list(session: Any, call: Call, list_id: UUID, body: dict[str, Any]) -> dict[str, Any]:
    """Put all or some of what is left back, for whoever asks next."""
    ids = body["fulfillment_ids"]
    return picking.give_back(session, list_id=list_id, fulfillment_ids=ids, caller=call.principal, now=call.now)


@blp.workflow(
    f"{ONE}/confirmation",
    permission="pickups.work",
    body=schemas.ConfirmPickListSchema,
    answer=schemas.PickListSchema,
)
def confirm_pick_list(call: Call, claim: Claim, answer: Answer, list_id: UUID, body: dict[str, Any]) -> dict[str, Any]:
    """Say what is in the totes and what was not found. A pickup that is picked is ready: its customer gets her code."""
    return counter.confirm_picked(
        list_id=list_id,
        lines=[Confirmed(**line) for line in body["lines"]],
        caller=call.principal,
        now=call.now,
        begin=claim.begin,
        end=lambda session, found: answer.settle(claim, session, found),
    )
