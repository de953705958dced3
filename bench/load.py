"""A closed-loop HTTP load generator in one thread: N keep-alive connections, each sends its next request when the
answer to the last has arrived. Raw sockets and a selector, because a heavier client would take the server's cores."""

import selectors
import socket
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

Request = Callable[[int], bytes]
"""Makes the bytes of the next request; the argument counts requests from 0 over all connections."""


@dataclass(slots=True)
class Outcome:
    """What one round saw: answered requests per second, each answer's seconds, how many of each status."""

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    first_refusal: bytes = b""

    @property
    def per_second(self) -> float:
        """Answers per second of the round."""
        return len(self.latencies) / self.seconds if self.seconds else 0.0

    def quantile_ms(self, share: float) -> float:
        """The latency in milliseconds that `share` of the answers did not exceed."""
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1000 if ordered else 0.0


class _Connection:
    """One keep-alive connection and the answer it is reading."""

    __slots__ = ("buffer", "needed", "sent_at", "sock", "status")

    def __init__(self, host: str, port: int) -> None:
        self.sock = socket.create_connection((host, port))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = bytearray()
        self.needed = 0
        self.status = 0
        self.sent_at = 0.0

    def send(self, data: bytes) -> None:
        self.buffer.clear()
        self.needed = 0
        self.sent_at = time.perf_counter()
        self.sock.sendall(data)

    def read(self) -> bool:
        """Read what is there; True when the answer is complete.

        Raises:
            ConnectionError: the server hung up in the middle.
        """
        data = self.sock.recv(262_144)
        if not data:
            raise ConnectionError("the server closed the connection")
        self.buffer += data
        if not self.needed:
            end = self.buffer.find(b"\r\n\r\n")
            if end < 0:
                return False
            head = bytes(self.buffer[:end]).lower()
            self.status = int(head[9:12])
            at = head.find(b"content-length:")
            length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            self.needed = end + 4 + length
        return len(self.buffer) >= self.needed

    def body(self) -> bytes:
        return bytes(self.buffer).split(b"\r\n\r\n", 1)[1]


def run(*, host: str, port: int, clients: int, seconds: float, request: Request, start: int = 0) -> Outcome:
    """Drive the server for `seconds` with `clients` connections; counts only answers that arrive inside.

    `start` is the number of the first request, so that rounds do not repeat each other's idempotency keys.
    """
    outcome = Outcome()
    number = start
    with selectors.DefaultSelector() as selector:
        connections = [_Connection(host, port) for _ in range(clients)]
        for connection in connections:
            selector.register(connection.sock, selectors.EVENT_READ, connection)
        begun = time.perf_counter()
        deadline = begun + seconds
        for connection in connections:
            connection.send(request(number))
            number += 1
        while (now := time.perf_counter()) < deadline:
            for key, _ in selector.select(timeout=deadline - now):
                connection = key.data
                if not connection.read():
                    continue
                outcome.latencies.append(time.perf_counter() - connection.sent_at)
                outcome.statuses[connection.status] += 1
                if connection.status >= 400 and not outcome.first_refusal:
                    outcome.first_refusal = connection.body()[:600]
                connection.send(request(number))
                number += 1
        outcome.seconds = time.perf_counter() - begun
        for connection in connections:
            # the last answer is waited for, so that no work runs into the next round
            while not connection.read():
                pass
            connection.sock.close()
    return outcome


def http_request(
    method: str, path: str, *, token: str, body: bytes = b"", key: str | None = None, host: str = "127.0.0.1"
) -> bytes:
    """The bytes of one HTTP/1.1 request with a bearer token, a JSON body and an Idempotency-Key if given."""
    head = f"{method} {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n"
    if key is not None:
        head += f"Idempotency-Key: {key}\r\n"
    if body:
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + b"\r\n" + body
