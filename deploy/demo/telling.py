"""How the tour speaks: to the server over plain HTTP, and to the person who watches, with every claim checked."""

import re
import time
import unicodedata
import uuid
from collections.abc import Callable, Mapping
from email.message import EmailMessage
from typing import Any, TypeVar

import httpx

from deploy.demo import people
from deploy.demo.mailbox import Mailbox

PATIENCE_SECONDS = 30.0
_CODE = re.compile(r"^\s*([2-9A-HJ-NP-Z]{6})\s*$", re.MULTILINE)  # a code stands on a line of its own
Say = Callable[[str], None]
Found = TypeVar("Found")


class TourStopped(Exception):
    """Something was not as the tour says it is. The text is for a person."""


class Caller:
    """One principal on the API: a storefront, a customer, a member of staff."""

    def __init__(self, http: httpx.Client, name: str, token: str) -> None:
        self.http = http
        self.name = name
        self.token = token
        self.replayed = False

    def ask(
        self,
        method: str,
        path: str,
        *,
        expect: int = 200,
        refused: int | None = None,
        json: Mapping[str, Any] | None = None,
        key: str | None = None,
        if_match: int | None = None,
        params: Mapping[str, str | list[str]] | None = None,
    ) -> Any:
        """Call the API and return the answer's JSON. `key`: the Idempotency-Key; every POST of the tour has one.
        `refused`: a status that is an answer too; then None is returned.

        Raises:
            TourStopped: no answer, or another status than `expect`.
        """
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        if method == "POST":
            headers["Idempotency-Key"] = key or f"tour-{uuid.uuid4()}"
        if if_match is not None:
            headers["If-Match"] = f'"{if_match}"'
        what = f"{method} /api/v1{path}"
        try:
            response = self.http.request(method, f"/api/v1{path}", json=json, params=params, headers=headers)
        except httpx.HTTPError as error:
            raise TourStopped(f"{what} ({self.name}): no answer: {error}") from error
        if response.status_code == refused:
            return None
        if response.status_code != expect:
            raise TourStopped(
                f"{what} ({self.name}): status {response.status_code} instead of {expect}: {_reason(response)}"
            )
        self.replayed = response.headers.get("Idempotent-Replayed") == "true"
        return response.json() if response.content else None


def _reason(response: httpx.Response) -> str:
    try:
        problem = response.json()
    except ValueError:
        return response.text[:300]
    return f"{problem.get('code')}: {problem.get('detail')} {problem.get('errors') or ''}".strip()


def check(claim: str, found: Any, expected: Any) -> None:
    """Raises:
    TourStopped: what was found is not what the tour claims.
    """
    if found != expected:
        raise TourStopped(f"{claim}: {found!r} instead of {expected!r}")


def until(claim: str, look: Callable[[], Found | None], *, seconds: float = PATIENCE_SECONDS) -> Found:
    """Look again and again until there is something (a worker works in the background); returns it.

    Raises:
        TourStopped: nothing within `seconds`.
    """
    deadline = time.monotonic() + seconds
    while (found := look()) is None:
        if time.monotonic() > deadline:
            raise TourStopped(f"{claim}: not within {seconds:.0f} seconds")
        time.sleep(0.1)
    return found


class Story:
    """Numbered steps, told line by line. Parts of one story count on: the next begins at `number`."""

    def __init__(self, http: httpx.Client, say: Say, number: int = 0) -> None:
        self.http = http
        self.say = say
        self.number = number

    def step(self, title: str) -> None:
        """Begin the next step."""
        self.number += 1
        self.say("")
        self.say(f"{self.number}. {title}")

    def tell(self, sentence: str) -> None:
        """One line of the present step."""
        self.say(f"   {sentence}")

    def staff(self, colleague: people.Colleague) -> Caller:
        """A colleague, logged in."""
        login = {"login": colleague.login, "password": people.PASSWORD}
        token = Caller(self.http, "nobody", "").ask("POST", "/auth/staff-tokens", json=login, expect=201)["token"]
        return Caller(self.http, colleague.name, token)


class Inbox:
    """One person's mails, from now on."""

    def __init__(self, mailbox: Mailbox, address: str) -> None:
        self.mailbox = mailbox
        self.address = address
        self.read = len(mailbox.messages(to=address))

    def next(self, what: str, *, about: str = "") -> EmailMessage:
        """The next mail that was not read yet and has `about` in its subject. Others are passed over: a run that was
        broken off may have left some on their way.

        Raises:
            TourStopped: none comes.
        """

        def look() -> EmailMessage | None:
            found = self.mailbox.messages(to=self.address)
            while len(found) > self.read and about not in str(found[self.read]["Subject"]):
                self.read += 1
            return found[self.read] if len(found) > self.read else None

        message = until(f"The mail with {what} for {self.address}", look)
        self.read += 1
        return message


def text_of(message: EmailMessage) -> str:
    """The plain text of a mail."""
    body = message.get_body(("plain",))
    return str(body.get_content()).strip() if body is not None else ""


def code_in(message: EmailMessage) -> str:
    """The code that a mail shows.

    Raises:
        TourStopped: it shows none.
    """
    found = _CODE.search(text_of(message))
    if found is None:
        raise TourStopped(f"The mail {message['Subject']!r} shows no code")
    return found.group(1)


def money(amount: Mapping[str, Any]) -> str:
    """Yen without decimals, others with two."""
    if amount["currency"] == "JPY":
        return f"¥{amount['amount_minor']:,}"
    return f"{amount['amount_minor'] / 100:,.2f} {amount['currency']}"


def cell(text: str, width: int) -> str:
    """Text filled up to a width, Japanese characters being two wide."""
    taken = sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)
    return text + " " * max(0, width - taken)
