"""A stretch of the way to the card network at which a request, or its answer, can be held up."""

import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SECONDS = 60.0


class CardGate:
    """Passes everything on to the network at `base`. `hold`: the first request whose path ends so stops here, on its way
    there (`answered` False) or back (True), until `release`; `came` is set once it stands here."""

    def __init__(self, base: str) -> None:
        self.base, self.port = base, 0
        self.came, self._go = threading.Event(), threading.Event()
        self._held: tuple[str, bool] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def hold(self, path: str, *, answered: bool) -> None:
        self.came.clear()
        self._go.clear()
        self._held = (path, answered)

    def release(self) -> None:
        self._held = None
        self._go.set()

    def stop_here(self, path: str, *, answered: bool) -> None:
        if self._held == (path, answered):
            self.came.set()
            assert self._go.wait(SECONDS), "nobody let it go on"


@contextmanager
def card_gate(base: str) -> Iterator[CardGate]:
    """One, for the length of a block."""
    gate = CardGate(base)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            """Quiet."""

        def pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            last = "/" + self.path.split("?")[0].rsplit("/", 1)[-1] if self.command == "POST" else ""
            gate.stop_here(last, answered=False)
            headers = {
                name: value for name, value in self.headers.items() if name.lower() not in ("host", "connection")
            }
            request = urllib.request.Request(gate.base + self.path, body or None, headers, method=self.command)
            try:
                with urllib.request.urlopen(request, timeout=SECONDS) as answer:
                    status, raw = answer.status, answer.read()
            except urllib.error.HTTPError as error:
                with error:
                    status, raw = error.code, error.read()
            gate.stop_here(last, answered=True)
            try:
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)
            except OSError:
                self.close_connection = True  # whoever asked is dead

        do_GET = do_POST = do_DELETE = pass_on

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    gate.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield gate
    finally:
        gate.release()
        server.shutdown()
        server.server_close()
        thread.join(SECONDS)
