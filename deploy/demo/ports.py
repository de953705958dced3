"""The ports of the demo: which are free, who has the others, which setting moves them."""

import errno
import socket
from collections.abc import Mapping
from dataclasses import dataclass

import psutil

HOST = "127.0.0.1"


class PortError(Exception):
    """A port cannot be had. The text says whose it is and how to choose another."""


@dataclass(frozen=True, slots=True)
class Ports:
    """Where the demo's servers listen on the loopback interface."""

    web: int
    card_network: int
    mail: int

    @classmethod
    def choose(cls, environment: Mapping[str, str]) -> "Ports":
        """Read PORT, DEMO_STRIPE_PORT and DEMO_SMTP_PORT; `0` means any free port.

        The web server's port is known to people, so it is 8000 or an error. Nobody needs to know the other two:
        unless they are set, a free port is taken when the usual one is not free.
        Raises PortError.
        """
        return cls(
            web=_wanted(environment.get("PORT") or "8000", "PORT", "the web server"),
            card_network=_internal(environment, 8420, "DEMO_STRIPE_PORT", "Stripe's stand-in"),
            mail=_internal(environment, 8025, "DEMO_SMTP_PORT", "the mail server"),
        )


def _internal(environment: Mapping[str, str], usual: int, variable: str, what: str) -> int:
    if environment.get(variable):
        return _wanted(environment[variable], variable, what)
    try:
        return _bound(usual)
    except OSError:
        return _bound(0)


def _wanted(text: str, variable: str, what: str) -> int:
    if not (text.isdecimal() and int(text) < 65536):
        raise PortError(f"{variable} must be a port number from 0 to 65535, not {text!r}.")
    try:
        return _bound(int(text))
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise PortError(
                f"Port {text}, for {what}, may not be used: {error.strerror}. Set {variable} to another."
            ) from error
        owner = owner_of(int(text))
        by = f" by {owner}" if owner else ""
        way_out = f"Set {variable} to another, for example {variable}={_bound(0)}."
        raise PortError(f"Port {text}, for {what}, is taken{by}. {way_out}") from error


def _bound(port: int) -> int:
    """The port's number if it can be bound now; for 0, that of a free one. Raises OSError."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((HOST, port))
        # Bound with SO_REUSEADDR is not yet proof: somebody may listen on all interfaces, which listen() finds out.
        probe.listen()
        return int(probe.getsockname()[1])


def owner_of(port: int) -> str | None:
    """Who listens on a port, as `name (process 123)`; None if the system does not say."""
    try:
        for connection in psutil.net_connections("tcp"):
            local = connection.laddr
            if connection.status == psutil.CONN_LISTEN and local and local.port == port and connection.pid:
                return f"{psutil.Process(connection.pid).name()} (process {connection.pid})"
    except psutil.Error:
        pass
    return None
