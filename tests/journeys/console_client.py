"""The console as a person without a screen uses it: opens pages, fills in forms, presses buttons."""

import html
import re
from html.parser import HTMLParser
from typing import Any

from flask import Flask
from werkzeug.test import TestResponse

from retail.kernel.web.pages import SESSION_COOKIE


class _Forms(HTMLParser):
    """The forms of a page with the values their fields would send."""

    def __init__(self) -> None:
        super().__init__()
        self.forms: list[dict[str, Any]] = []
        self._select: str | None = None
        self._area: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.forms.append({"action": given.get("action", ""), "fields": {}, "names": set()})
            return
        if not self.forms:
            return
        form, name = self.forms[-1], given.get("name", "")
        if name:
            form["names"].add(name)
        if tag == "input" and name:
            if given.get("type") in ("radio", "checkbox"):
                if "checked" in given:
                    form["fields"][name] = given.get("value", "on")
            else:
                form["fields"][name] = given.get("value", "")
        elif tag == "select":
            self._select = name
        elif tag == "option" and self._select and ("selected" in given or self._select not in form["fields"]):
            form["fields"][self._select] = given.get("value", "")
        elif tag == "textarea":
            self._area = name
            form["fields"][name] = ""

    def handle_data(self, data: str) -> None:
        if self._area:
            self.forms[-1]["fields"][self._area] += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "select":
            self._select = None
        if tag == "textarea":
            self._area = None


class Console:
    """A browser with cookies; `token` is a member of staff who is logged in already."""

    def __init__(self, app: Flask, token: str | None = None, locale: str | None = None) -> None:
        self.client = app.test_client()
        if token is not None:
            self.client.set_cookie(SESSION_COOKIE, token, path="/console")
        if locale is not None:
            self.client.set_cookie("retail_locale", locale, path="/console")
        self.page: TestResponse | None = None

    def open(self, path: str) -> "Shown":
        return self._shown(self.client.get(path))

    def send(self, shown: "Shown", action: str, **changes: str | None) -> "Shown":
        """Fill in and send the form with this action; None leaves a field out. Redirects are followed."""
        return self._shown(self.client.post(action, data=shown.filled(action, **changes)))

    def post(self, path: str, **fields: str) -> "Shown":
        """A POST that no form made."""
        return self._shown(self.client.post(path, data=fields))

    def _shown(self, response: TestResponse) -> "Shown":
        via = None
        while response.status_code in (302, 303):
            via = response.headers["Location"]
            response = self.client.get(via.split("#")[0])
        return Shown(response, via)


class Shown:
    """What a person sees."""

    def __init__(self, response: TestResponse, via: str | None) -> None:
        self.response = response
        self.status = response.status_code
        self.via = via
        self.html = response.get_data(as_text=True)
        body = re.sub(r"<(style|script).*?</\1>", "", self.html, flags=re.S)
        self.text = re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", body)))
        parser = _Forms()
        parser.feed(self.html)
        self.forms = parser.forms

    @property
    def message(self) -> str:
        """The refusal at the top."""
        found = re.search(r'role="alert">(.*?)</p>', self.html, re.S)
        return html.unescape(found[1].strip()) if found else ""

    @property
    def notice(self) -> str:
        """The good news at the top."""
        found = re.search(r'role="status">(.*?)</p>', self.html, re.S)
        return html.unescape(found[1].strip()) if found else ""

    def form(self, action: str) -> dict[str, Any]:
        found = [form for form in self.forms if form["action"] == action]
        assert found, f"no form {action} among {[form['action'] for form in self.forms]}"
        return found[0]

    def filled(self, action: str, **changes: str | None) -> dict[str, str]:
        form = self.form(action)
        assert not set(changes) - form["names"], f"no fields {set(changes) - form['names']}"
        return {name: value for name, value in (form["fields"] | changes).items() if value is not None}
