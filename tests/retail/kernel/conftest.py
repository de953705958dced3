"""A small application of the plumbing alone: routes of each kind, whose effect is a row in `tax_class`."""

from collections.abc import Callable, Iterator
from typing import Any

import marshmallow as ma
import pytest
import sqlalchemy as sa
from flask import Flask
from flask_smorest import Api
from sqlalchemy import text
from sqlalchemy.orm import Session
from werkzeug.exceptions import HTTPException

from retail.kernel import auth, db
from retail.kernel.auth import CLIENT, Principal, token_hash
from retail.kernel.errors import Conflict, Unavailable
from retail.kernel.ids import new_id
from retail.kernel.web import PUBLIC, ApiBlueprint, Call, docs, problems, requests
from retail.staff import principal_of_token
from tests.conftest import Caller

ANNE = Principal(CLIENT, new_id(), frozenset({"probe.write", "probe.read"}), token_hash=token_hash("rk_anne"))
BERT = Principal(CLIENT, new_id(), frozenset({"probe.write"}), token_hash=token_hash("rk_bert"))
NEMO = Principal(CLIENT, new_id(), frozenset(), token_hash=token_hash("rk_nemo"))


class ThingSchema(ma.Schema):
    """A thing."""

    code = ma.fields.String(required=True, validate=ma.validate.Length(1, 40))
    version = ma.fields.Integer(load_default=0)
    lines = ma.fields.List(ma.fields.Dict(), load_default=list)


class LineSchema(ma.Schema):
    """A line."""

    quantity = ma.fields.Integer(required=True, strict=True)


class NestedSchema(ma.Schema):
    """Nested fields."""

    lines = ma.fields.List(ma.fields.Nested(LineSchema), required=True)


class Declined(Conflict):
    """A refusal that is an outcome."""

    code, title, settled = "declined", "Declined", True


def make(session: Session, code: str) -> None:
    session.execute(text("INSERT INTO tax_class (code, name) VALUES (:code, '')"), {"code": code})


def made(session: Session) -> list[str]:
    return list(session.execute(text("SELECT code FROM tax_class ORDER BY code")).scalars())


blueprint = ApiBlueprint("probe", __name__, url_prefix="/api/v1")
inside: dict[str, Callable[[], None]] = {}  # what happens within the view


@blueprint.write("POST", "/things", permission="probe.write", body=ThingSchema, answer=ThingSchema, status=201, idempotent=True)  # fmt: skip
def make_thing(*, session: Session, call: Call, body: dict[str, Any]) -> dict[str, Any]:
    """Make a thing once."""
    make(session, body["code"])
    inside.get("write", lambda: None)()
    return {"code": body["code"], "version": 3}


@blueprint.write("PATCH", "/things/<code>", permission="probe.write", body=ThingSchema, answer=ThingSchema, if_match=True)  # fmt: skip
def change_thing(*, session: Session, call: Call, code: str, body: dict[str, Any]) -> dict[str, Any]:
    """Answer the version that If-Match said."""
    return {"code": code, "version": call.version}


@blueprint.write("POST", "/nested", permission=PUBLIC, body=NestedSchema, answer=None, status=204)
def nested(*, session: Session, call: Call, body: dict[str, Any]) -> None:
    """Nested fields."""


@blueprint.read("/things/<code>", permission="probe.read", answer=ThingSchema, query=ThingSchema, etag=True)
def get_thing(*, session: Session, call: Call, code: str, query: dict[str, Any]) -> dict[str, Any]:
    """One thing."""
    found = session.execute(text("SELECT code FROM tax_class WHERE code = :code"), {"code": code}).scalars().all()
    inside.get("read", lambda: None)()
    return {"code": found[0] if found else code, "version": 7}


@blueprint.workflow("/workflows", permission="probe.write", body=ThingSchema, answer=ThingSchema, status=201)
def run_workflow(*, call: Call, claim: Any, answer: Any, body: dict[str, Any]) -> dict[str, Any]:
    """Two transactions with an outside call in between."""
    with db.transaction() as session:
        claim.begin(session, lease=True)
        if claim.resource is None:
            make(session, body["code"])
            claim.attach(session, body["code"])
    db.assert_no_transaction()
    inside.get("outside", lambda: None)()
    with db.transaction() as session:
        make(session, body["code"] + "-done")
        result = {"code": claim.resource, "version": 1}
        answer.settle(claim, session, result)
    return result


def refuse_settled() -> None:
    raise Declined


def refuse_unavailable() -> None:
    raise Unavailable("The outside is down")


@pytest.fixture
def probe(database: sa.Connection | None) -> Iterator[Callable[[str | None], Caller]]:
    """`probe("rk_anne")` calls the small application as Anne."""
    people = {principal.token_hash: principal for principal in (ANNE, BERT, NEMO)}
    auth.use_lookup(people.get)
    app = Flask("probe", static_folder=None)
    app.config.update(docs.SMOREST_CONFIG)
    requests.install(app)
    api = Api(app)
    docs.describe(api)
    api.register_blueprint(blueprint)
    for error in (HTTPException, Exception):
        app.register_error_handler(error, problems.answer)
    yield lambda token=None: Caller(app.test_client(), token)
    inside.clear()
    auth.use_lookup(principal_of_token)
