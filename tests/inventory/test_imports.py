"""Files of stock writes: read in any shape, cut off, killed, sent twice, and gone on with; nothing is applied by halves."""

import base64
import io
import json
import random
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from inventory import imports
from inventory.imports import Order, Reader
from inventory.imports.lines import CHUNK_BYTES, Refusal, csv_parser, jsonl_parser
from inventory.updates import Line
from retail import limits
from retail.kernel import db
from tests.factories import Place, Variant, api_client, customer, location, staff, variant
from tests.inventory.books import balanced, everything, level, moves, stocked

Api = Callable[..., Any]
Unchanged = Callable[[], AbstractContextManager[None]]
ROOT = Path(__file__).parents[2]
HEADING = "location,sku,mode,quantity,expected,version,as_of"
CSV, NDJSON = "text/csv; charset=utf-8", "application/x-ndjson"


def written(*lines: str) -> bytes:
    return "".join(line + "\n" for line in (HEADING, *lines)).encode()


def objects(*lines: Any) -> bytes:
    return "".join(json.dumps(line) + "\n" for line in lines).encode()


@pytest.fixture
def erp(session: Session, api: Api) -> Any:
    return api(api_client(session, ["stock.write"]))


def send(caller: Any, data: bytes, *, key: str = "one", kind: str = CSV, query: str = "", **options: Any) -> Any:
    headers = {"Content-Type": kind, **options.pop("headers", {})}
    path = f"/imports?kind=stock&source=erp-1{query}"
    return caller.post(path, data=data, key=key, headers=headers, **options)


def announcing(length: int, *, silently: bool = False) -> dict[str, Any]:
    """Options of `send`: a Content-Length. `silently`: the server's stream just ends when the connection breaks, as that of
    Granian does; otherwise it is an error."""
    return {"environ_overrides": {"CONTENT_LENGTH": str(length), "wsgi.input_terminated": silently}}


def refused(caller: Any, import_id: str) -> list[tuple[int, str]]:
    answer = caller.get(f"/imports/{import_id}/lines")
    assert answer.status_code == 200, answer.json
    return [(row["line"], row["code"]) for row in answer.json["items"]]


# --- whole files


def test_a_file_is_applied_and_its_refusals_reported(session: Session, erp: Any) -> None:
    tea, shop = stocked(session, 5)
    cake = variant(session)
    data = written(
        f"{shop.code},{tea.sku},delta,3",
        f"{shop.code},{tea.sku},delta,2,,,",
        f"{shop.code},NOPE,delta,1,,,",
        "",
        f"{shop.code},{cake.sku},absolute,7,,12,2026-07-01T11:00:00+09:00",
        f'"{shop.code}","{tea.sku}",compare_and_set,9,7,,',
        f"{shop.code},{tea.sku},absolute,9,,,",
        f"{shop.code},{tea.sku},delta,1.5,,,",
    )
    answer = send(erp, data, query="&name=monday.csv&lines=7")
    assert answer.status_code == 201, answer.json
    assert {name: answer.json[name] for name in ("state", "lines_done", "lines_applied", "lines_refused")} == {
        "state": "done",
        "lines_done": 9,
        "lines_applied": 3,
        "lines_refused": 4,
    }
    assert answer.json["codes"] == {"invalid": 2, "unknown_sku": 1, "unreadable": 1}
    assert (answer.json["kind"], answer.json["name"], answer.json["source"]) == ("stock", "monday.csv", "erp-1")
    import_id = answer.json["id"]
    assert erp.get(f"/imports/{import_id}").json == answer.json
    page = erp.get(f"/imports/{import_id}/lines?limit=2").json
    assert page["items"] == [
        {
            "line": 2,
            "code": "unreadable",
            "detail": "4 columns; the heading has 7",
            "raw": f"{shop.code},{tea.sku},delta,3",
        },
        {"line": 4, "code": "unknown_sku", "detail": "Not in the catalog", "raw": f"{shop.code},NOPE,delta,1,,,"},
    ]
    rest = erp.get(f"/imports/{import_id}/lines?limit=2&cursor={page['next']}").json
    assert [(row["line"], row["detail"]) for row in rest["items"]] == [
        (8, "Missing: version"),
        (9, "quantity: not a whole number"),
    ]
    assert (level(session, tea, shop), level(session, cake, shop)) == ((9, 0, 0, 0), (7, 0, 0, 0))
    causes = text("SELECT DISTINCT cause_id FROM stock_movement WHERE cause IN ('sync', 'update')")
    assert [str(cause) for cause in session.execute(causes).scalars()] == [import_id]
    told = session.execute(text("SELECT data FROM event WHERE type = 'StockImported'")).scalar_one()
    assert told == {"import_id": import_id, "source": "erp-1", "applied": 3, "refused": 4}
    assert [row["id"] for row in erp.get("/imports").json["items"]] == [import_id]
    assert balanced(session)


def test_json_lines(session: Session, erp: Any) -> None:
    tea, shop = stocked(session, 5)
    here = {"location": shop.code, "sku": tea.sku}
    good: list[Any] = [
        here | {"mode": "delta", "delta": 2},
        here | {"mode": "absolute", "quantity": 9, "version": 1, "as_of": None},
        here | {"mode": "compare_and_set", "quantity": 4, "expected": 9},
    ]
    bad: list[Any] = [
        7,
        [],
        here,
        here | {"mode": "delta", "delta": True},
        here | {"mode": "delta", "delta": 1, "quantity": 1},
        here | {"mode": "delta", "delta": 1, "barcode": "4006381333931"},
        here | {"mode": "delta", "delta": 1, "sku": "\ud800"},
        here | {"mode": "delta", "delta": 1, "sku": "\x00"},
        here | {"mode": "absolute", "quantity": 1, "version": 2**63},
        here | {"mode": "absolute", "quantity": 1, "version": 2, "as_of": "2026-07-01T12:00:00"},
    ]
    data = objects(*good, *bad) + b"not json\n\xff\xfe\n" + b"[" * 5000 + b"\n" + objects(good[0]).rstrip()
    answer = send(erp, data, kind=NDJSON)
    assert answer.status_code == 201, answer.json
    assert (answer.json["lines_applied"], answer.json["lines_refused"]) == (4, 13)
    assert refused(erp, answer.json["id"]) == [
        (4, "unreadable"),
        (5, "unreadable"),
        *((number, "invalid") for number in range(6, 14)),
        *((number, "unreadable") for number in (14, 15, 16)),
    ]
    assert level(session, tea, shop) == (6, 0, 0, 0), "the last line is an object, and whole without a line end"


@pytest.mark.parametrize(
    "shape",
    [
        lambda data: b"\xef\xbb\xbf" + data,
        lambda data: data.replace(b"\n", b"\r\n"),
        lambda data: data.replace(b"location", b" Location ").replace(b"mode", b"MODE"),
        lambda data: data + b"\n  \n\n",
    ],
)
def test_files_as_other_systems_write_them(session: Session, erp: Any, shape: Callable[[bytes], bytes]) -> None:
    tea, shop = stocked(session, 5)
    answer = send(erp, shape(written(f"{shop.code}, {tea.sku} ,delta,3,,,")))
    assert (answer.status_code, answer.json["lines_applied"], answer.json["lines_refused"]) == (201, 1, 0)
    assert level(session, tea, shop) == (8, 0, 0, 0)


def test_a_heading_in_another_order_with_barcodes_alone() -> None:
    parse = csv_parser(next(iter(Reader(io.BytesIO(b"quantity,barcode,mode,location\n")))))
    (line,) = Reader(io.BytesIO(b"-3,4006381333931,delta,TOKYO"))
    assert parse(line) == Line(1, "TOKYO", "delta", -3, barcode="4006381333931")


@pytest.mark.parametrize(
    ("heading", "field"),
    [
        ("location,sku,mode", "quantity"),
        ("location,mode,quantity", "sku or barcode"),
        ("location,sku,mode,quantity,price", "price"),
        ("location,sku,sku,mode,quantity", "sku"),
        ("SHIBUYA,TEA-1,delta,3", "location"),
        ('"location,sku', None),
        ("\x00\udcff", None),
    ],
)
def test_a_heading_that_cannot_be(
    session: Session, erp: Any, unchanged: Unchanged, heading: str, field: str | None
) -> None:
    with unchanged():
        answer = send(erp, heading.encode(errors="surrogateescape") + b"\nA,B,delta,1\n")
    assert (answer.status_code, answer.json["code"]) == (422, "heading_invalid")
    assert field is None or field in [error["field"] for error in answer.json["errors"]]


def test_lines_that_are_too_long_are_refused_without_being_held(session: Session, erp: Any) -> None:
    tea, shop = stocked(session, 5)
    most = limits.IMPORT_LINE_BYTES
    fits = f"{shop.code},{tea.sku},delta,1,,,"
    data = written(fits, "x" * (most + 1), fits, "y" * (3 * CHUNK_BYTES), fits, fits.ljust(most), "z" * CHUNK_BYTES)
    answer = send(erp, data)
    assert (answer.status_code, answer.json["lines_applied"]) == (201, 4)
    assert refused(erp, answer.json["id"]) == [(3, "line_too_long"), (5, "line_too_long"), (8, "line_too_long")]
    assert level(session, tea, shop) == (9, 0, 0, 0)


class Pieces:
    """A stream that hands out what it likes, as a network does."""

    def __init__(self, data: bytes, dice: random.Random) -> None:
        self.data, self.dice, self.asked = io.BytesIO(data), dice, 0

    def read(self, size: int, /) -> bytes:
        self.asked += 1
        return self.data.read(self.dice.randint(1, min(size, 50)))


def test_however_the_bytes_arrive_the_lines_and_the_digest_are_the_same() -> None:
    dice = random.Random(4)
    for _ in range(50):
        lines = [bytes(dice.choices(b"ab,\r\x00", k=dice.randint(0, 30))) for _ in range(20)]
        data = b"\n".join(lines)
        reader = Reader(Pieces(data, dice))
        read = list(reader)
        expected = [line.rstrip(b"\r") for line in lines]
        assert [raw.text for raw in read] == (expected if lines[-1] else expected[:-1])
        assert reader.digest == sha256(data).hexdigest()


def test_no_line_makes_the_parsers_fail() -> None:
    dice = random.Random(5)
    parsers = [csv_parser(next(iter(Reader(io.BytesIO(HEADING.encode()))))), jsonl_parser()]
    for number in range(3000):
        raw = bytes(dice.choices(b'{}[]":,\\ux0d8 -e1tn"\xff\x00\r\'', k=dice.randint(0, 40)))
        for parse in parsers:
            for line in Reader(io.BytesIO(raw)):
                assert parse(line) is None or isinstance(parse(line), Refusal | Line), (number, raw)


# --- requests that cannot be


def test_what_a_request_needs(session: Session, erp: Any, api: Api, unchanged: Unchanged) -> None:
    data = written("X,Y,delta,1,,,")
    chunked: dict[str, Any] = {
        "environ_overrides": {"wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": "chunked"}
    }
    asked: list[tuple[Any, int, str]] = [
        (lambda: send(erp, data, kind="application/json"), 415, "unsupported_media_type"),
        (lambda: send(erp, data, headers={"Content-Encoding": "gzip"}), 415, "unsupported_media_type"),
        (lambda: erp.post("/imports?kind=stock&source=e", data=data, content_type=CSV), 400, "idempotency_key_missing"),
        (lambda: erp.post("/imports?kind=people&source=e", data=data, content_type=CSV, key="k"), 422, "invalid"),
        (lambda: erp.post("/imports?kind=stock", data=data, content_type=CSV, key="k"), 422, "invalid"),
        (lambda: send(erp, data, query="&lines=-1"), 422, "invalid"),
        (lambda: send(erp, data, headers={"Content-Digest": "sha-256=:nonsense:"}), 400, "content_digest_unreadable"),
        (lambda: send(erp, data, **chunked), 400, "length_required"),
        (lambda: send(erp, data, **announcing(limits.IMPORT_BYTES + 1)), 413, "too_large"),
        (lambda: send(api(customer(session)), data), 403, "forbidden"),
    ]
    for ask, status, code in asked:
        answer = ask()
        assert (answer.status_code, answer.json.get("code")) == (status, code), answer.json
    assert session.execute(text("SELECT count(*) FROM stock_import")).scalar_one() == 0


def test_a_body_may_be_larger_than_any_other(session: Session, erp: Any) -> None:
    tea, shop = stocked(session, 0 + 1)
    filler = "\n" * 2_500_000
    answer = send(erp, written(filler + f"{shop.code},{tea.sku},delta,3,,,"))
    assert (answer.status_code, answer.json["lines_applied"], answer.json["lines_done"]) == (201, 1, 2_500_002)


def test_imports_are_their_sender_s_and_of_staff_of_all_stores(session: Session, erp: Any, api: Api) -> None:
    _, shop = stocked(session, 1)
    import_id = send(erp, written("X,Y,delta,1,,,")).json["id"]
    other = api(api_client(session, ["stock.write"]))
    manager = api(staff(session, "manager", locations=[shop.id]))
    for caller in (other, manager):
        assert caller.get(f"/imports/{import_id}").status_code == 404
        assert caller.get(f"/imports/{import_id}/lines").status_code == 404
        assert caller.get("/imports").json == {"items": [], "next": None}
    assert api(staff(session, "admin")).get(f"/imports/{import_id}").json["lines_refused"] == 1
    assert erp.get(f"/imports/{import_id}/lines?limit=0").status_code == 422
    assert erp.get(f"/imports/{import_id}/lines?cursor=x").status_code == 422
    assert erp.get("/imports?cursor=x").status_code == 422


def test_a_store_s_manager_writes_there_alone(session: Session, api: Api) -> None:
    tea, shop = stocked(session, 5)
    own = location(session)
    manager = api(staff(session, "manager", locations=[own.id]))
    answer = send(manager, written(f"{shop.code},{tea.sku},delta,1,,,", f"{own.code},{tea.sku},delta,1,,,"))
    assert refused(manager, answer.json["id"]) == [(2, "unknown_location")]
    assert (level(session, tea, shop), level(session, tea, own)) == ((5, 0, 0, 0), (1, 0, 0, 0))


# --- half a file


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two writes in each transaction."""
    defaults = imports.run.__kwdefaults__
    assert defaults is not None
    monkeypatch.setitem(defaults, "batch_lines", 2)


def state(session: Session) -> tuple[str, int]:
    row = session.execute(text("SELECT state, lines_done FROM stock_import")).one()
    return row.state, row.lines_done


def deltas(tea: Variant, shop: Place, count: int) -> bytes:
    return written(*[f"{shop.code},{tea.sku},delta,1,,,"] * count)


class Gone(io.BytesIO):
    """A client that goes away."""

    def read(self, size: int | None = -1, /) -> bytes:
        piece = super().read(size)
        if not piece:
            raise ConnectionResetError
        return piece


@pytest.mark.usefixtures("small_batches")
@pytest.mark.parametrize("silently", [True, False])
@pytest.mark.parametrize("lines_lost", [0, 1, 2, 5])
@pytest.mark.parametrize("bytes_lost", [0, 1, 10])
def test_a_body_shorter_than_its_length_is_half_a_file(
    session: Session, erp: Any, lines_lost: int, bytes_lost: int, silently: bool
) -> None:
    tea, shop = stocked(session, 5)
    whole = deltas(tea, shop, 6)
    begun = deltas(tea, shop, 6 - lines_lost)
    if lines_lost + bytes_lost == 0:
        begun = begun[:-2]
    answer = send(erp, begun[: len(begun) - bytes_lost], **announcing(len(whole), silently=silently))
    assert (answer.status_code, answer.json["code"]) == (422, "truncated"), answer.json
    told, done = state(session)
    assert (told, done == answer.json["lines_done"], answer.json["import_id"] is not None) == ("broken", True, True)
    applied = 5 + max(0, done - 1)
    assert (level(session, tea, shop) or (0,))[0] == applied < 11
    assert erp.get(f"/imports/{answer.json['import_id']}").json["state"] == "broken"

    again = send(erp, whole)
    assert (again.status_code, again.json["state"], again.json["lines_applied"]) == (201, "done", 6)
    assert level(session, tea, shop) == (11, 0, 0, 0)
    assert len(moves(session, tea)) == 1 + 6
    assert balanced(session)


def test_a_client_that_goes_away(session: Session, erp: Any) -> None:
    tea, shop = stocked(session, 5)
    whole = deltas(tea, shop, 3)
    gone = {"input_stream": Gone(whole[:-5]), "headers": {"Content-Type": CSV, "Content-Length": str(len(whole))}}
    answer = erp.post("/imports?kind=stock&source=erp-1", key="one", **gone)
    assert (answer.status_code, answer.json["code"]) == (422, "truncated")
    assert (state(session), level(session, tea, shop)) == (("broken", 0), (5, 0, 0, 0))
    assert send(erp, whole).json["lines_applied"] == 3


@pytest.mark.parametrize(
    ("kind", "end"),
    [(CSV, b"%(shop)s,%(tea)s,delta,1"), (CSV, b"%(shop)s,%(tea)s,delta,1,,,"), (NDJSON, b'{"location": "X", "sk')],
)
def test_a_last_line_that_does_not_end(session: Session, erp: Any, kind: str, end: bytes) -> None:
    tea, shop = stocked(session, 5)
    names = {b"shop": shop.code.encode(), b"tea": tea.sku.encode()}
    first = {"location": shop.code, "sku": tea.sku, "mode": "delta", "delta": 1}
    begun = deltas(tea, shop, 1) if kind == CSV else objects(first)
    answer = send(erp, begun + end % names, kind=kind)
    assert (answer.status_code, answer.json["code"]) == (422, "truncated")
    assert (state(session), level(session, tea, shop)) == (("broken", 0), (5, 0, 0, 0)), "nothing of the batch"


def test_an_empty_file_is_no_file(session: Session, erp: Any) -> None:
    for kind, data in ((CSV, b""), (NDJSON, b""), (CSV, HEADING.encode())):
        answer = send(erp, data, kind=kind, key=f"{kind}{len(data)}", **announcing(len(data)))
        assert (answer.status_code, answer.json["code"]) == (422, "truncated")
    assert send(erp, written(), key="heading alone").json["lines_applied"] == 0


def test_announced_lines_and_digests_are_checked(session: Session, erp: Any) -> None:
    tea, shop = stocked(session, 5)
    data = deltas(tea, shop, 3)
    right = {"Content-Digest": f"md5=:eA==:, sha-256=:{base64.b64encode(sha256(data).digest()).decode()}:"}
    before = everything(session)
    for key, query, headers, code in (
        ("fewer", "&lines=4", {}, "truncated"),
        ("more", "&lines=2", {}, "lines_mismatch"),
        ("other", "", {"Content-Digest": right["Content-Digest"].replace("sha-256=:", "sha-256=:A")[:-3] + "=:"}, ""),
    ):
        answer = send(erp, data, key=key, query=query, headers=headers)
        assert answer.status_code in (400, 422), answer.json
        assert code in ("", answer.json["code"])
    assert send(erp, data + b"\n", key="digest", headers=right).json["code"] == "digest_mismatch"
    assert everything(session) == before
    without_end = data.rstrip()
    proof = {"Content-Digest": f"sha-256=:{base64.b64encode(sha256(without_end).digest()).decode()}:"}
    assert send(erp, without_end, key="whole", query="&lines=3", headers=proof).status_code == 201
    assert level(session, tea, shop) == (8, 0, 0, 0)


# --- the same file again, and another


def test_a_finished_file_is_answered_again(session: Session, erp: Any) -> None:
    tea, shop = stocked(session, 5)
    data = deltas(tea, shop, 3)
    first = send(erp, data)
    before = everything(session)
    assert send(erp, data).json == first.json
    for other in (data + b"\n", data[:-1] + b" \n", data[: len(data) // 2], data.replace(b"1", b"2")):
        answer = send(erp, other)
        assert (answer.status_code, answer.json["code"] in ("other_file", "truncated")) == (422, True), other
    assert send(erp, data, kind="application/jsonl").json["code"] == "other_file"
    assert (
        erp.post("/imports?kind=stock&source=wms", data=data, content_type=CSV, key="one").json["code"] == "other_file"
    )
    assert everything(session) == before
    assert send(erp, data, key="two").json["id"] != first.json["id"], "another key is another import"
    assert level(session, tea, shop) == (11, 0, 0, 0)


@pytest.mark.usefixtures("small_batches")
def test_another_file_does_not_go_on_where_one_broke_off(session: Session, erp: Any) -> None:
    tea, shop = stocked(session, 5)
    whole = deltas(tea, shop, 6)
    send(erp, whole[:-3])
    assert state(session) == ("broken", 5)
    before = everything(session)
    answer = send(erp, whole.replace(b",delta,1,,,\n", b",delta,2,,,\n", 1))
    assert (answer.status_code, answer.json["code"]) == (422, "other_file")
    assert everything(session) == before
    assert send(erp, whole).json["lines_applied"] == 6


def test_two_keys_of_one_name_belong_to_two_senders(session: Session, erp: Any, api: Api) -> None:
    tea, shop = stocked(session, 5)
    data = deltas(tea, shop, 1)
    other = api(api_client(session, ["stock.write"]))
    assert send(erp, data).json["id"] != send(other, data).json["id"]
    assert level(session, tea, shop) == (7, 0, 0, 0)


class Slow(io.BytesIO):
    """A stream that stops in its middle until it is let go."""

    def __init__(self, data: bytes, middle: int) -> None:
        super().__init__(data)
        self.middle, self.reached, self.go = middle, threading.Event(), threading.Event()

    def read(self, size: int | None = -1, /) -> bytes:
        if self.tell() >= self.middle:
            self.reached.set()
            assert self.go.wait(20)
            return super().read(size)
        return super().read(min(size or 0, self.middle - self.tell()))


def order(key: str, data: bytes) -> Order:
    return Order(
        key=key,
        name="",
        source="erp",
        format="csv",
        lines=None,
        digest=sha256(data).hexdigest(),
        may_write=lambda _: True,
        actor="client:test",
    )


@pytest.mark.races
@pytest.mark.committed
def test_two_senders_of_one_import_one_works(session: Session, api: Api) -> None:
    tea, shop = stocked(session, 5)
    client = api_client(session, ["stock.write"])
    data = deltas(tea, shop, 10)
    slow = Slow(data, len(data) // 2)
    answers: list[Any] = []
    first_order = replace(order(f"{client.actor}:one", data), actor=client.actor, source="erp-1")
    work = threading.Thread(target=lambda: answers.append(imports.run(stream=slow, order=first_order, batch_lines=2)))
    work.start()
    assert slow.reached.wait(20)
    second = send(api(client), data)
    assert (second.status_code, second.json["code"], second.headers["Retry-After"]) == (409, "import_running", "5")
    slow.go.set()
    work.join(20)
    assert [answer["lines_applied"] for answer in answers] == [10]
    assert send(api(client), data).json["state"] == "done"
    assert level(session, tea, shop) == (15, 0, 0, 0)
    assert balanced(session)


@pytest.mark.races
@pytest.mark.committed
def test_even_past_the_lock_no_batch_is_applied_twice(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(db, "alone", lambda _: nullcontext(True))
    tea, shop = stocked(session, 5)
    data = deltas(tea, shop, 40)
    barrier = threading.Barrier(4)
    outcomes: list[Any] = []

    def sender() -> None:
        barrier.wait(10)
        try:
            outcomes.append(imports.run(stream=io.BytesIO(data), order=order("k", data), batch_lines=3)["state"])
        except imports.ImportRunning as refusal:
            outcomes.append(refusal.code)

    threads = [threading.Thread(target=sender) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert "done" in outcomes or imports.run(stream=io.BytesIO(data), order=order("k", data))["state"] == "done"
    assert set(outcomes) <= {"done", "import_running"}
    assert level(session, tea, shop) == (45, 0, 0, 0)
    assert len(moves(session, tea)) == 41
    assert balanced(session)
