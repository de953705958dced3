"""Stripe's stand-in as a real process, and what a test wants to ask it or have it do."""

import hmac
import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from tests.factories.ports import free_port

ROOT = Path(__file__).parents[2]
KEY = "sk_test_12345"
WEBHOOK_SECRET = "whsec_of_the_tests"
GOOD_CARD = "pm_card_visa"
DECLINED_CARD = "pm_card_chargeCustomerFail"  # 4000000000000341: the stand-in declines it when it is charged
AUTHENTICATED_CARD = "4000002500003155"  # asks for authentication (3-D Secure)
START_SECONDS = 20.0


class CardNetwork:
    """`localstripe` on a loopback port; `kill` and `start` lose nothing, as it keeps its state in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.base = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def settings(self) -> dict[str, Any]:
        return {
            "stripe_api_key": KEY,
            "stripe_api_base": self.base,
            "stripe_webhook_secret": WEBHOOK_SECRET,
            "stripe_timeout_seconds": 10.0,
        }

    def start(self) -> None:
        if self.process is not None:
            return
        command = [
            sys.executable,
            "-m",
            "deploy.demo.card_network",
            "--port",
            str(self.port),
            "--dir",
            str(self.folder),
        ]
        log = (self.folder / "log").open("ab")
        self.process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        log.close()
        ends = time.monotonic() + START_SECONDS
        while time.monotonic() < ends:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                time.sleep(0.05)
            else:
                return
        raise TimeoutError("the stand-in for Stripe did not start")

    def kill(self) -> None:
        """SIGKILL: from now on the port refuses connections."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def get(self, path: str, **query: Any) -> Any:
        return self._ask("GET", f"{path}?{urllib.parse.urlencode(query)}" if query else path)

    def post(self, path: str, **form: Any) -> Any:
        return self._ask("POST", path, urllib.parse.urlencode(form).encode())

    def _ask(self, method: str, path: str, data: bytes | None = None) -> Any:
        request = urllib.request.Request(f"{self.base}{path}", data=data, method=method)
        request.add_header("Authorization", f"Bearer {KEY}")
        try:
            with urllib.request.urlopen(request, timeout=10) as response:
                raw = response.read()
        except urllib.error.HTTPError as error:
            with error:
                raw = error.read()
        return json.loads(raw) if raw else None

    def card(self, number: str) -> str:
        """A payment method with that card number."""
        form = {
            "type": "card",
            "card[number]": number,
            "card[exp_month]": 12,
            "card[exp_year]": 2030,
            "card[cvc]": "123",
        }
        return str(self.post("/v1/payment_methods", **form)["id"])

    def intent(self, intent_id: str) -> Any:
        return self.get(f"/v1/payment_intents/{intent_id}")

    def charges(self, intent_id: str | None = None) -> list[Any]:
        """Every attempt to charge a card, of one intent or of all."""
        found = self.get("/v1/charges", limit=1000)["data"]
        return [charge for charge in found if intent_id in (None, charge["payment_intent"])]

    def refunds(self, intent_id: str) -> list[Any]:
        return list(self.get("/v1/refunds", payment_intent=intent_id, limit=1000)["data"])

    def authenticate(self, intent_id: str, client_secret: str, *, success: bool) -> Any:
        """What the customer does on the provider's page."""
        form = {"client_secret": client_secret, "success": str(success).lower()}
        return self.post(f"/v1/payment_intents/{intent_id}/_authenticate", **form)

    def listen(self, url: str) -> None:
        """Send webhooks there, from now until the process ends."""
        body = json.dumps({"url": url, "secret": WEBHOOK_SECRET}).encode()
        request = urllib.request.Request(f"{self.base}/_config/webhooks/tests", data=body, method="POST")
        request.add_header("Content-Type", "application/json")
        urllib.request.urlopen(request, timeout=10).close()

    def flush(self) -> None:
        self._ask("DELETE", "/_config/data")


def event(event_id: str, intent_id: str, kind: str = "payment_intent.amount_capturable_updated") -> bytes:
    """A webhook's body about an intent, with what a real one carries and nobody may store."""
    subject = {"id": intent_id, "object": "payment_intent", "client_secret": f"{intent_id}_secret_x"}
    return json.dumps(
        {"id": event_id, "object": "event", "type": kind, "created": 1, "data": {"object": subject}}
    ).encode()


def signature(raw: bytes, at: datetime, secret: str = WEBHOOK_SECRET) -> str:
    """The Stripe-Signature of a body sent at that moment."""
    moment = str(int(at.timestamp()))
    digest = hmac.new(secret.encode(), moment.encode() + b"." + raw, sha256).hexdigest()
    return f"t={moment},v1={digest}"
