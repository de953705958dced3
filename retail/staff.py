"""Staff: who works here, in which role, at which stores; and who a token speaks for."""

from retail.kernel import clock, db
from retail.kernel.auth import Principal
from retail.queries import principal_by_token
from retail.roles import PERMISSIONS, ROLES

__all__ = ["PERMISSIONS", "ROLES", "principal_of_token"]


def principal_of_token(token_hash: str) -> Principal | None:
    """Who the token with this hash speaks for now, or None: the look-up that app.py hands to `kernel.auth`.

    The one function here that opens its own session, since it runs before the request has one.
    """
    with db.reading() as session:
        return principal_by_token(session, token_hash=token_hash, now=clock.now())
