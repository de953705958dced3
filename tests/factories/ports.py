"""A port for a server that must be told its own."""

import random
import socket
from pathlib import Path

RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
LOWEST, USUAL = 15_000, 32_768
_dice = random.SystemRandom()


def free_port() -> int:
    """Nobody listens there now, and no connection is given it by the system before the server takes it: it lies below
    the ports that Linux hands out (a port that was asked for by number 0 and closed again is one of those)."""
    handed_out = int(RANGE.read_text().split()[0]) if RANGE.exists() else USUAL
    while True:
        port = _dice.randrange(LOWEST, max(handed_out, LOWEST + 1000))
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
