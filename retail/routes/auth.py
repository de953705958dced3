"""Log-in and log-out. Staff by password; customers by a one-time code that a channel's client asks for."""

from typing import Any

from sqlalchemy.orm import Session

from retail import limits, sessions
from retail.kernel.auth import NOBODY
from retail.kernel.errors import Unauthorized
from retail.kernel.web import PUBLIC, ApiBlueprint, Call
from retail.schemas import access as schemas
from retail.sessions import CustomerTokens, StaffSession

blueprint = ApiBlueprint("auth", __name__, url_prefix="/api/v1", description="Log-in and log-out")


@blueprint.workflow(
    "/auth/staff-tokens",
    permission=PUBLIC,
    body=schemas.LogInStaffSchema,
    answer=schemas.StaffTokenSchema,
    status=201,
    idempotent=False,
)
def log_in_staff(*, call: Call, body: dict[str, Any]) -> StaffSession:
    """Log in with login and password; attempts are limited per login and per address."""
    return sessions.log_in_staff(**body, address=call.address, now=call.now)


@blueprint.write("DELETE", "/auth/token", permission=PUBLIC, answer=None, status=204)
def log_out(*, session: Session, call: Call) -> None:
    """End the session of the presented token."""
    if call.principal is NOBODY:
        raise Unauthorized
    sessions.log_out(session, principal=call.principal, now=call.now)


@blueprint.workflow(
    "/auth/codes",
    permission="auth.customers",
    body=schemas.RequestCodeSchema,
    answer=schemas.CodeRequestedSchema,
    status=202,
    idempotent=False,
)
def request_code(*, call: Call, body: dict[str, Any]) -> dict[str, int]:
    """Send a one-time code to a customer's address; the answer is the same whether she is known or not."""
    kind, value = _address(body)
    sessions.request_code(caller=call.principal, kind=kind, value=value, locale=body["locale"], now=call.now)
    return {"expires_in_seconds": limits.CODE_MINUTES * 60}


@blueprint.workflow(
    "/auth/tokens",
    permission="auth.customers",
    body=schemas.LogInCustomerSchema,
    answer=schemas.CustomerTokenSchema,
    status=201,
    idempotent=False,
)
def log_in_customer(*, call: Call, body: dict[str, Any]) -> CustomerTokens:
    """Log a customer in with the code that was sent to her; a new one is registered."""
    kind, value = _address(body)
    return sessions.log_in_customer(
        caller=call.principal, kind=kind, value=value, code=body["code"], locale=body["locale"], now=call.now
    )


@blueprint.workflow(
    "/auth/tokens/refresh",
    permission="auth.customers",
    body=schemas.RefreshTokenSchema,
    answer=schemas.CustomerTokenSchema,
    status=201,
    idempotent=False,
)
def refresh_token(*, call: Call, body: dict[str, Any]) -> CustomerTokens:
    """Change a refresh token for a new pair; one used twice ends the whole session."""
    return sessions.refresh(caller=call.principal, refresh_token=body["refresh_token"], now=call.now)


def _address(body: dict[str, Any]) -> tuple[str, str]:
    return ("phone", body["phone"]) if body["email"] is None else ("email", body["email"])
