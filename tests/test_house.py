"""The rules of the house (shared/design/HOUSE.md), as tests: what import-linter cannot see."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from openapi_spec_validator import OpenAPIV31SpecValidator

ROOT = Path(__file__).parents[1]
ROOMS = ("retail", "inventory", "orders", "loyalty", "support")
SOURCES = [
    *sorted(
        path
        for room in (*ROOMS, "bench", "deploy")
        for path in (ROOT / room).rglob("*.py")
        if "__pycache__" not in path.parts
    ),
    ROOT / "app.py",
]
EDGES = {"routes", "console", "handlers", "jobs", "commands"}
MOVING = re.compile(
    r"/(holds?|cancellation|refunds|returns|picking|ready|collection|code|receipts|adjustments|contacts|redelivery|orders"
    r"|set-asides|restorations|write-offs|stock-counts|entries|approval|completion|inbound-shipments|transfers|shipment|updates|imports)$"
)


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def calls(tree: ast.AST) -> Iterator[tuple[str, int]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node.lineno


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_files_and_functions_stay_small(path: Path) -> None:
    text = path.read_text()
    assert text.count("\n") <= 400, f"{name_of(path)} is past 400 lines: make it a folder of the same name"
    long = [
        f"{node.name} ({size} lines)"
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef) and (size := (node.end_lineno or node.lineno) - node.lineno + 1) > 70
    ]
    assert long == []


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_names_say_something(path: Path) -> None:
    assert path.stem not in {"utils", "util", "helpers", "common", "misc", "services", "service", "base", "manager"}


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_every_module_says_what_belongs_in_it(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text())), f"{name_of(path)} has no docstring"


@pytest.mark.parametrize("path", [p for p in SOURCES if p.relative_to(ROOT).parts[0] in ROOMS], ids=name_of)
def test_commits_the_clock_and_the_environment_have_one_place_each(path: Path) -> None:
    name = name_of(path)
    found = {call for call, _ in calls(ast.parse(path.read_text()))}
    if name != "retail/kernel/db.py":
        assert not {call for call in found if call.endswith((".commit", ".rollback"))}
    if name != "retail/kernel/clock.py":
        assert not {
            call for call in found if call.endswith(("datetime.now", "datetime.utcnow", "date.today", "datetime.today"))
        }
    if name not in {"retail/kernel/config.py"} and not name.startswith("retail/kernel/embedded"):
        assert not {call for call in found if call.startswith(("os.environ", "os.getenv"))}


@pytest.mark.parametrize("path", [p for p in SOURCES if p.relative_to(ROOT).parts[0] in ROOMS], ids=name_of)
def test_a_function_that_takes_a_session_opens_no_transaction(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef) and node.args.args and node.args.args[0].arg == "session":
            opened = {call for call, _ in calls(node) if call in {"db.transaction", "db.reading"}}
            assert not opened, f"{name_of(path)}:{node.name} takes a session and opens another"
            positional = [argument.arg for argument in node.args.args if argument.arg not in {"session", "event"}]
            inside = node.name.startswith("_") or EDGES & {path.stem, *path.parts}  # not a door that others call
            assert inside or not positional, f"{name_of(path)}:{node.name}: keyword-only after session"


def test_every_route_is_documented_and_names_its_permission(app: Flask) -> None:
    document = app.test_client().get("/api/openapi.json").json
    assert document is not None
    assert document["openapi"] == "3.1.0"
    described = {
        (path, method) for path, methods in document["paths"].items() for method in methods if method != "parameters"
    }
    served = {
        (re.sub(r"<(?:[^:<>]+:)?([^<>]+)>", r"{\1}", rule.rule), method.lower())
        for rule in app.url_map.iter_rules()
        if rule.rule.startswith("/api/v1")
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    assert served <= described
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if method == "parameters" or not path.startswith("/api/v1"):
                continue
            assert operation.get("x-permission"), f"{method} {path} names no permission"
            assert operation.get("summary"), f"{method} {path} has no docstring"
            assert "500" in operation["responses"]


def test_the_openapi_document_is_valid(app: Flask) -> None:
    document = app.test_client().get("/api/openapi.json").json
    assert document is not None
    assert [error.message for error in OpenAPIV31SpecValidator(document).iter_errors()] == []


def test_every_post_that_moves_something_needs_an_idempotency_key(app: Flask) -> None:
    document = app.test_client().get("/api/openapi.json").json
    assert document is not None
    for path, methods in document["paths"].items():
        operation = methods.get("post")
        if operation and path.startswith("/api/v1") and MOVING.search(path):
            assert {"$ref": "#/components/parameters/IdempotencyKey"} in operation.get("parameters", []), path


def test_migrations_are_numbered_in_one_line() -> None:
    versions = sorted(path.stem for path in (ROOT / "migrations" / "versions").glob("*.py"))
    assert [int(name[:4]) for name in versions] == list(range(1, len(versions) + 1))
    assert (ROOT / "migrations" / "HEAD").read_text().strip() == versions[-1]


def test_no_file_names_a_package_registry_or_this_machine() -> None:
    forbidden = (
        "pypi" + ".org",
        "files.python" + "hosted",
        "deb." + "debian.org",
        "registry.npm" + "js",
        "/work/" + "main",
    )
    for path in [*SOURCES, *ROOT.glob("*.md"), *ROOT.glob("*.toml"), ROOT / "Makefile", ROOT / "requirements.lock"]:
        if path.exists():
            text = path.read_text()
            assert not [word for word in forbidden if word in text], name_of(path)
