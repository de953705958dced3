"""A carrier that is booked over HTTP: a server that remembers its bookings and can be slow, down, or talk nonsense."""

import hmac
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from threading import Event, Thread
from typing import Any

from werkzeug.serving import make_server
from werkzeug.wrappers import Request, Response

from retail.kernel.config import CarrierAccount

KEY = "the key of the carrier and us"


@dataclass(slots=True)
class Courier:
    """What was booked, in order, and how it behaves: ``well``, ``slow``, ``down``, ``nonsense``, ``lost`` (it books, and its
    answer is lost) or ``no`` (it refuses)."""

    behaves: str = "well"
    bookings: dict[str, str] = field(default_factory=dict)
    asked: list[dict[str, Any]] = field(default_factory=list)
    account: CarrierAccount = field(default_factory=lambda: CarrierAccount("courier", "", KEY))
    closing: Event = field(default_factory=Event)

    def answer(self, request: Request) -> Response:
        """One booking; the same for the same key."""
        if request.headers.get("Authorization") != f"Bearer {KEY}" or request.path != "/bookings":
            return Response("who?", 401)
        self.asked.append(request.get_json())
        if self.behaves == "down":
            return Response("closed", 503)
        if self.behaves == "no":
            return Response("too heavy", 422)
        if self.behaves == "nonsense":
            return Response("<html>welcome</html>", 200)
        if self.behaves == "slow":
            self.closing.wait(5)
        key = request.headers["Idempotency-Key"]
        number = self.bookings.setdefault(key, f"C{1000 + len(self.bookings)}")
        if self.behaves == "lost":
            return Response("the line was cut", 502)
        return Response(json.dumps({"tracking": number}), 201, content_type="application/json")


@contextmanager
def courier() -> Iterator[Courier]:
    """The server runs within the block."""
    made = Courier()
    server = make_server("127.0.0.1", 0, Request.application(made.answer), threaded=True)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    made.account = CarrierAccount("courier", f"http://127.0.0.1:{server.server_port}", KEY)
    try:
        yield made
    finally:
        made.closing.set()
        server.shutdown()
        thread.join()


def signed(body: dict[str, Any]) -> tuple[bytes, dict[str, str]]:
    """News of the carrier's as bytes, and its signature header."""
    raw = json.dumps(body).encode()
    return raw, {"Carrier-Signature": hmac.new(KEY.encode(), raw, sha256).hexdigest()}
