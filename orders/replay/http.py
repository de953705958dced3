"""The shop's API as another program sees it: JSON over HTTP with a client's key."""

import json
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from typing import Any

from retail.kernel.ids import new_id

SECONDS = 60


@dataclass(frozen=True, slots=True)
class Answer:
    """A status and what came with it; `code` is the problem's, where it is one."""

    status: int
    body: Any

    @property
    def ok(self) -> bool:
        """Whether it was done."""
        return self.status < 400

    @property
    def why(self) -> str:
        """A refusal in one line."""
        if not isinstance(self.body, dict):
            return str(self.status)
        return f"{self.status} {self.body.get('code', '')}: {self.body.get('detail') or self.body.get('title', '')}"


@dataclass(frozen=True, slots=True)
class Api:
    """Calls below ``/api/v1`` of one server with one bearer token."""

    base: str
    token: str

    def get(self, path: str, **query: str) -> Answer:
        """GET; a path's parts are quoted by `part`."""
        return self._call("GET", path + (f"?{urllib.parse.urlencode(query)}" if query else ""), None, {})

    def post(self, path: str, body: Any = None) -> Answer:
        """POST with a key of its own."""
        return self._call("POST", path, body, {"Idempotency-Key": str(new_id())})

    def put(self, path: str, body: Any, version: int | None = None) -> Answer:
        """PUT, of a version where the route asks for one."""
        return self._call("PUT", path, body, {} if version is None else {"If-Match": f'"{version}"'})

    def patch(self, path: str, body: Any, version: int) -> Answer:
        """PATCH of a version."""
        return self._call("PATCH", path, body, {"If-Match": f'"{version}"'})

    def _call(self, method: str, path: str, body: Any, headers: dict[str, str]) -> Answer:
        request = urllib.request.Request(  # noqa: S310 - our own server
            f"{self.base}/api/v1{path}",
            data=None if body is None else json.dumps(body).encode(),
            method=method,
            headers={"Authorization": f"Bearer {self.token}", "Content-Type": "application/json", **headers},
        )
        try:
            with urllib.request.urlopen(request, timeout=SECONDS) as response:  # noqa: S310 - our own server
                text = response.read()
                return Answer(response.status, json.loads(text) if text else None)
        except urllib.error.HTTPError as error:
            text = error.read()
            return Answer(error.code, json.loads(text) if text else None)


def part(text: str) -> str:
    """A part of a path, quoted."""
    return urllib.parse.quote(text, safe="")
