"""The mail server, and nothing else knows SMTP. No transaction is open while it is spoken to."""

import smtplib
import ssl
import uuid
from dataclasses import dataclass
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime, parseaddr
from io import BytesIO
from typing import Self
from urllib.parse import unquote, urlsplit

import segno

from retail.kernel import clock, config
from support.letters import Letter

TIMEOUT_SECONDS = 20.0
QR_SCALE, QR_BORDER = 6, 3


class Refused(Exception):
    """The server did not take the message.

    Attributes:
        permanent: it never will (5xx). connected: the server was there, only this message was refused.
    """

    def __init__(self, detail: str, *, permanent: bool, connected: bool) -> None:
        super().__init__(detail)
        self.permanent = permanent
        self.connected = connected


@dataclass(slots=True)
class MailServer:
    """An open connection."""

    smtp: smtplib.SMTP

    def send(self, *, message_id: uuid.UUID, address: str, letter: Letter) -> None:
        """Hand one letter over.

        Raises:
            Refused: the server said no, or went away.
        """
        try:
            self.smtp.send_message(message_of(message_id=message_id, address=address, letter=letter))
        except smtplib.SMTPServerDisconnected as error:
            raise Refused(f"the connection broke: {error}", permanent=False, connected=False) from error
        except smtplib.SMTPRecipientsRefused as error:
            codes = [code for code, _ in error.recipients.values()]
            raise Refused(
                f"recipient refused: {codes}", permanent=all(c >= 500 for c in codes), connected=True
            ) from error
        except smtplib.SMTPResponseException as error:
            text = (
                error.smtp_error.decode(errors="replace") if isinstance(error.smtp_error, bytes) else error.smtp_error
            )
            raise Refused(f"{error.smtp_code} {text}", permanent=error.smtp_code >= 500, connected=True) from error
        except smtplib.SMTPNotSupportedError as error:
            raise Refused(f"not supported by the server: {error}", permanent=True, connected=True) from error
        except (OSError, smtplib.SMTPException) as error:
            raise Refused(f"{type(error).__name__}: {error}", permanent=False, connected=False) from error
        except ValueError as error:  # an address that cannot be put into a header
            raise Refused(f"{type(error).__name__}: {error}", permanent=True, connected=True) from error

    def close(self) -> None:
        """Say good-bye if anybody still listens."""
        try:
            self.smtp.quit()
        except (OSError, smtplib.SMTPException):
            self.smtp.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def connect() -> MailServer:
    """Connect to SMTP_URL; log in when it names a user; STARTTLS wherever the server offers it.

    Raises:
        Refused: nobody answers, or the log-in is wrong.
    """
    url = urlsplit(config.current().smtp_url)
    host, secure = url.hostname or "localhost", url.scheme == "smtps"
    context = ssl.create_default_context()
    smtp: smtplib.SMTP | None = None
    try:
        if secure:
            smtp = smtplib.SMTP_SSL(host, url.port or 465, timeout=TIMEOUT_SECONDS, context=context)
        else:
            smtp = smtplib.SMTP(host, url.port or 587, timeout=TIMEOUT_SECONDS)
            smtp.ehlo()
            if smtp.has_extn("starttls"):
                smtp.starttls(context=context)
        if url.username:
            smtp.login(unquote(url.username), unquote(url.password or ""))
    except (OSError, smtplib.SMTPException) as error:
        if smtp is not None:
            smtp.close()
        raise Refused(f"{type(error).__name__}: {error}", permanent=False, connected=False) from error
    return MailServer(smtp)


def message_of(*, message_id: uuid.UUID, address: str, letter: Letter) -> EmailMessage:
    """The mail: plain text, HTML, the QR code inline. Its Message-ID comes from our row: a repeat has the same one.

    Raises:
        ValueError: the address cannot stand in a header.
    """
    sender_name, sender = parseaddr(config.current().mail_from)
    domain = sender.rpartition("@")[2] or "localhost"
    mail = EmailMessage()
    mail["Message-ID"] = f"<{message_id}@{domain}>"
    mail["Date"] = format_datetime(clock.now())
    mail["From"] = Address(sender_name, addr_spec=sender)
    mail["To"] = Address(addr_spec=address)
    mail["Subject"] = letter.subject
    mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: no holiday answers, please
    mail.set_content(letter.text())
    cid = f"qr-{message_id}@{domain}"
    mail.add_alternative(letter.html(qr_cid=cid if letter.token else ""), subtype="html")
    mail["Content-Language"] = letter.locale  # only now: the parts would have taken it along
    if letter.token:
        html = mail.get_payload(1)
        assert isinstance(html, EmailMessage)  # noqa: S101  (what add_alternative just made)
        html.add_related(
            qr_png(letter.token),
            maintype="image",
            subtype="png",
            cid=f"<{cid}>",
            filename="pickup-code.png",
            disposition="inline",
        )
    return mail


def qr_png(token: str) -> bytes:
    """The token as a QR code, PNG."""
    picture = BytesIO()
    segno.make(token, error="m", micro=False).save(picture, kind="png", scale=QR_SCALE, border=QR_BORDER)
    return picture.getvalue()
