"""The console's frame: log-in and out, languages, forgery, errors as pages."""

from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from sqlalchemy.orm import Session

from retail import limits
from retail.kernel.web.pages import SESSION_COOKIE, local_path
from tests import factories
from tests.journeys.console_client import Console

PASSWORD = "correct horse battery"


@pytest.fixture
def store(session: Session) -> Any:
    return factories.location(session, name="Shibuya", name_ja="渋谷店")


@pytest.fixture
def clerk(session: Session, store: Any) -> Any:
    return factories.staff(session, "associate", locations=[store.id], login="taro", password=PASSWORD, name="鈴木太郎")


def test_log_in_goes_where_one_wanted_to_go_and_log_out_ends_it(app: Flask, session: Session, clerk: Any) -> None:
    console = Console(app, locale="en")
    form = console.open("/console/pickups?store=X")
    assert form.via == "/console/log-in?next=%2Fconsole%2Fpickups%3Fstore%3DX"
    assert form.form("/console/log-in")["fields"]["next"] == "/console/pickups?store=X"
    inside = console.send(form, "/console/log-in", login=" TARO ", password=PASSWORD, next="/console/pickups")
    assert (inside.status, inside.via) == (200, "/console/pickups")
    assert "Shibuya" in inside.text
    cookie = console.client.get_cookie(SESSION_COOKIE, path="/console")
    assert cookie is not None
    assert (cookie.http_only, cookie.same_site, cookie.secure) == (True, "Lax", False)
    out = console.send(inside, "/console/log-out")
    assert out.via == "/console/log-in"
    console.client.set_cookie(SESSION_COOKIE, cookie.value, path="/console")
    assert console.open("/console/pickups").via == "/console/log-in?next=%2Fconsole%2Fpickups"
    revoked = session.execute(sa.text("SELECT count(*) FROM token WHERE revoked_at IS NOT NULL")).scalar_one()
    assert revoked == 1


def test_the_cookie_is_sent_over_tls_only_in_production(app: Flask, clerk: Any, configured: Callable[..., Any]) -> None:
    with configured(environment="production"):
        console = Console(app)
        data = console.open("/console/log-in").filled("/console/log-in", login="taro", password=PASSWORD)
        answer = console.client.post("/console/log-in", data=data)
        assert answer.status_code == 303
        cookies = [cookie for cookie in answer.headers.getlist("Set-Cookie") if cookie.startswith(SESSION_COOKIE)]
        assert len(cookies) == 1
        assert "; Secure; HttpOnly; Path=/console; SameSite=Lax" in cookies[0]


@pytest.mark.parametrize("changes", [{"password": "wrong"}, {"login": "nobody"}, {"login": "", "password": ""}])
@pytest.mark.parametrize(
    ("locale", "message"),
    [
        ("ja", "ユーザー名またはパスワードが正しくありません。"),
        ("en", "The user name or the password is not right."),
    ],
)
def test_a_wrong_log_in_says_nothing_about_which_half(
    app: Flask, session: Session, clerk: Any, changes: dict[str, str], locale: str, message: str
) -> None:
    console = Console(app, locale=locale)
    given = {"login": "taro", "password": PASSWORD} | changes
    again = console.send(console.open("/console/log-in?next=/console/desk"), "/console/log-in", **given)
    assert (again.status, again.message) == (401, message)
    fields = again.form("/console/log-in")["fields"]
    assert (fields["login"], fields["password"], fields["next"]) == (given["login"], "", "/console/desk")
    assert console.client.get_cookie(SESSION_COOKIE, path="/console") is None
    assert session.execute(sa.text("SELECT count(*) FROM token WHERE kind = 'session'")).scalar_one() == 1


def test_log_in_is_rate_limited(app: Flask, clerk: Any) -> None:
    console = Console(app, locale="en")
    form = console.open("/console/log-in")
    for _ in range(limits.LOGINS_PER_NAME):
        assert console.send(form, "/console/log-in", login="taro", password="x").status == 401
    late = console.send(form, "/console/log-in", login="taro", password=PASSWORD)
    assert late.status == 429
    assert late.message == "Too many attempts. Please wait a few minutes and try again."


@pytest.mark.parametrize(
    "target",
    [
        "https://evil.example",
        "//evil.example",
        "/\\evil.example",
        "/console\\@evil",
        "javascript:alert(1)",
        "/console\r\nX: y",
        "/api/docs",
        "",
    ],
)
def test_nobody_is_sent_elsewhere(app: Flask, target: str) -> None:
    assert local_path(target) == "/console/"


def test_a_form_made_elsewhere_is_refused(app: Flask, session: Session, clerk: Any) -> None:
    console = Console(app, clerk.token, locale="en")
    forged = console.post("/console/log-out")
    assert forged.status == 403
    assert forged.message == "The form had expired. Please send it again."
    other = Console(app, factories.staff(session, "associate").token).open("/console/")
    stolen = other.form("/console/log-out")["fields"]["_csrf"]
    assert console.post("/console/log-out", _csrf=stolen).status == 403
    assert session.execute(sa.text("SELECT count(*) FROM token WHERE revoked_at IS NOT NULL")).scalar_one() == 0


def test_the_language_follows_the_person_and_can_be_switched(app: Flask, session: Session, clerk: Any) -> None:
    console = Console(app, clerk.token)
    home = console.open("/console/")
    assert '<html lang="ja">' in home.html
    assert "店頭受け取り" in home.text
    english = console.open("/console/language/en?next=/console/pickups")
    assert english.via == "/console/pickups"
    assert '<html lang="en">' in english.html
    assert "Pickups" in english.text
    assert console.open("/console/language/xx").status == 200
    guest = app.test_client().get("/console/log-in", headers={"Accept-Language": "en-GB,en;q=0.9"})
    assert '<html lang="en">' in guest.get_data(as_text=True)
    assert '<html lang="ja">' in app.test_client().get("/console/log-in").get_data(as_text=True)


def test_pages_by_role(app: Flask, session: Session) -> None:
    seen = {
        "associate": ["Pickups"],
        "manager": ["Pickups"],
        "agent": ["Agent desk"],
        "supervisor": ["Agent desk"],
        "analyst": [],
        "admin": ["Pickups", "Agent desk"],
    }
    for role, titles in seen.items():
        home = Console(app, factories.staff(session, role).token, locale="en").open("/console/")
        assert home.status == 200
        assert [title for title in ("Pickups", "Agent desk") if title in home.text] == titles
    analyst = Console(app, factories.staff(session, "analyst").token, locale="en")
    assert analyst.open("/console/pickups").status == 403
    assert analyst.open("/console/desk").message == "Your role does not allow this."
    customer = factories.customer(session)
    assert Console(app, customer.token).open("/console/").via == "/console/log-in?next=%2Fconsole%2F"


def test_what_is_not_there_is_a_page_too(app: Flask, clerk: Any) -> None:
    console = Console(app, clerk.token, locale="ja")
    lost = console.open("/console/nothing/here")
    assert lost.status == 404
    assert lost.message == "見つかりません。またはほかの店舗のものです。"
    assert lost.response.content_type == "text/html; charset=utf-8"
    assert console.open("/console/pickups/not-an-id").status == 404


def test_headers_and_the_style_sheet(app: Flask, clerk: Any) -> None:
    page = Console(app, clerk.token).open("/console/")
    headers = page.response.headers
    assert headers["Content-Security-Policy"].startswith("default-src 'none'; style-src 'self';")
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Cache-Control"] == "no-store"
    assert "http://" not in page.html
    assert "https://" not in page.html
    assert "<script" not in page.html
    assert " style=" not in page.html
    sheet = app.test_client().get(page.html.split('rel="stylesheet" href="')[1].split('"')[0])
    assert sheet.status_code == 200
    assert "url(" not in sheet.get_data(as_text=True)
    sheet.close()
    assert "max-age=31536000" in sheet.headers["Cache-Control"]


def test_oversized_and_unreadable_forms(app: Flask, clerk: Any) -> None:
    console = Console(app, locale="en")
    form = console.open("/console/log-in")
    assert console.send(form, "/console/log-in", login="x" * 200_000).status in (400, 413)
    assert console.send(form, "/console/log-in", login="a\x00b").status == 400
