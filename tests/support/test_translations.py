"""Every text a person may read has a Japanese translation; the files agree and their placeholders match."""

import ast
import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from jinja2 import Environment

from retail import events
from retail.kernel import i18n
from retail.kernel.outbox import Event
from support import desk_words

ROOT = Path(__file__).parents[2]
ROOMS = ("retail", "inventory", "orders", "loyalty", "support")
CALLS = {"N_", "gettext", "ngettext", "_"}
PLACEHOLDER = re.compile(r"%\(\w+\)s|%%")


def spoken(path: Path) -> Iterator[str]:
    """The msgids of one template or module."""
    if path.suffix in (".html", ".txt"):
        environment = Environment(extensions=["jinja2.ext.i18n"], autoescape=True)
        for _, _, message in environment.extract_translations(path.read_text()):
            first = message if isinstance(message, str) else (message[0] if message else None)
            if first:
                yield first
        return
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name in CALLS:
                yield str(node.args[0].value)


def every_text() -> set[str]:
    found: set[str] = set()
    for room in ROOMS:
        for path in (ROOT / room).rglob("*"):
            if path.suffix in (".html", ".txt", ".py") and "kernel/i18n" not in str(path):
                found.update(spoken(path))
    return found


def test_nothing_is_without_a_translation(app: Flask) -> None:
    assert {folder.parent.name for folder in i18n.folders()} == set(ROOMS)
    texts = every_text()
    assert len(texts) > 200
    assert sorted(texts - set(i18n.texts("ja").messages)) == []


@pytest.mark.parametrize("path", sorted(ROOT.glob("*/translations/*.po")), ids=lambda path: str(path.relative_to(ROOT)))
def test_placeholders_match(path: Path) -> None:
    for key, forms in i18n.read(path).items():
        for form in forms:
            assert sorted(PLACEHOLDER.findall(form)) == sorted(PLACEHOLDER.findall(key)), key


def test_the_files_agree_and_hold_nothing_that_nobody_says() -> None:
    seen: dict[str, tuple[str, ...]] = {}
    unused = set()
    texts = every_text() | {"Missing data for required field.", "Write something"}  # said by the schemas
    for path in ROOT.glob("*/translations/ja.po"):
        for key, forms in i18n.read(path).items():
            assert seen.setdefault(key, forms) == forms, key
            unused |= {key} - texts
    assert unused == set()


def test_every_event_that_a_timeline_can_show_has_a_name() -> None:
    def below(kind: type[Event]) -> Iterator[type[Event]]:
        for sub in kind.__subclasses__():
            yield sub
            yield from below(sub)

    shown = {
        kind.type_name()
        for kind in below(Event)
        if kind.__module__.startswith(events.__name__)
        and kind.party in {field.name for field in dataclasses.fields(kind)}
    }
    abstract = {"OrderEvent", "PickupEvent", "ReturnEvent"}
    about_goods = {"StockAdjusted", "StockEvent", "StockSetAside", "StockLow", "StockLimitsChanged"}
    assert sorted(shown - abstract - about_goods - set(desk_words.EVENTS)) == []


def test_a_refusal_has_the_same_words_on_every_page() -> None:
    """All pages share one table of codes: of two texts for one code, the page that is registered last would speak for both."""
    explained: dict[str, dict[str, str]] = {}
    for path in sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py")):
        for node in ast.parse(path.read_text()).body:
            targets = node.targets if isinstance(node, ast.Assign) else []
            if [target.id for target in targets if isinstance(target, ast.Name)] != ["EXPLANATIONS"]:
                continue
            assert isinstance(node, ast.Assign)
            assert isinstance(node.value, ast.Dict)
            for key, value in zip(node.value.keys, node.value.values, strict=True):
                if isinstance(key, ast.Constant) and isinstance(value, ast.Call):
                    explained.setdefault(str(key.value), {})[ast.unparse(value)] = path.name
    assert "return_not_found" in explained
    assert {code: texts for code, texts in explained.items() if len(texts) > 1} == {}
