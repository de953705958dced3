"""A real SMTP server on this machine that keeps every mail as a file, for the demo and the tests.

`python -m deploy.demo.mailbox --port 8025 --dir mail` takes mail on the loopback interface, for whomever it is, and
writes it to `mail/<number>.eml`, numbered as it came. Nothing is sent on. `Mailbox` reads such a folder.
"""

import asyncio
import email
import email.policy
import signal
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from email.message import EmailMessage
from itertools import count
from pathlib import Path

import click
from aiosmtpd.smtp import SMTP, Envelope, Session

HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Mailbox:
    """The mails in a folder, oldest first."""

    folder: Path

    def messages(self, *, to: str | None = None) -> list[EmailMessage]:
        """The mails, or those for one address of the envelope (which stands in the header X-Envelope-To)."""
        return list(self._read(to))

    def _read(self, to: str | None) -> Iterator[EmailMessage]:
        for path in sorted(self.folder.glob("*.eml")):
            message = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
            if to is None or to in str(message["X-Envelope-To"]).split(", "):
                yield message


class _Keep:
    """Answers the SMTP command DATA: the mail is on disk under its name before the sender hears `250`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        taken = [int(path.stem) for path in folder.glob("*.eml") if path.stem.isdecimal()]
        self.numbers = count(max(taken, default=0) + 1)

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:
        number = next(self.numbers)
        head = f"X-Envelope-From: {envelope.mail_from}\r\nX-Envelope-To: {', '.join(envelope.rcpt_tos)}\r\n"
        content = envelope.original_content or b""
        part, path = self.folder / f"{number:08}.part", self.folder / f"{number:08}.eml"
        try:
            part.write_bytes(head.encode() + content)
            part.rename(path)
        except OSError as error:  # the sender keeps the mail and tries again later
            return f"452 4.3.1 The mail could not be kept: {error.strerror}"
        return f"250 2.0.0 Kept as {path.name}"


async def serve(port: int, folder: Path) -> None:
    """Take mail until SIGTERM or SIGINT."""
    folder.mkdir(parents=True, exist_ok=True)
    keep = _Keep(folder)
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    server = await loop.create_server(lambda: SMTP(keep, hostname="localhost", enable_SMTPUTF8=True), HOST, port)
    await stop.wait()
    server.close()


@click.command()
@click.option("--port", type=click.IntRange(1, 65535), required=True)
@click.option("--dir", "folder", type=click.Path(path_type=Path, file_okay=False), required=True)
def main(port: int, folder: Path) -> None:
    """Take mail on 127.0.0.1 and keep it as files."""
    with suppress(KeyboardInterrupt):
        asyncio.run(serve(port, folder))


if __name__ == "__main__":
    main()
