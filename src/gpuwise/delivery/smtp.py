"""The channel e-mail, by SMTP. Each recipient gets a message of its own."""

import contextlib
import re
import smtplib
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from gpuwise.delivery.channel import Lost, Refused, Transient
from gpuwise.delivery.settings import EmailSettings
from gpuwise.model.errors import InputError
from gpuwise.report.mail import Views, address, message

_LINE_WITH_DOT = re.compile(rb"^\.", re.MULTILINE)
"""A line that begins with a dot gets a second one (RFC 5321, section 4.5.2)."""

_PORTS = {"starttls": 587, "implicit": 465, "none": 25}


@dataclass(frozen=True, slots=True)
class MailServer:
    """A mail server and its sign-in.

    Attributes:
        host: its name.
        port: its port.
        tls: "starttls", "implicit" or "none".
        sender: address in From.
        user: its user, None to not sign in.
        password: of the user; it is in no message.
        trusted: the certificates to trust.
        timeout_s: for one answer, seconds.
    """

    host: str
    port: int
    tls: Literal["starttls", "implicit", "none"]
    sender: str
    user: str | None
    password: str | None = field(repr=False)
    trusted: ssl.SSLContext = field(repr=False)
    timeout_s: float

    @property
    def shown(self) -> str:
        """Its name for messages."""
        return f"{self.host}:{self.port}"


def mail_server(settings: EmailSettings, password: str | None, timeout_s: float) -> MailServer:
    """Check the settings of e-mail, before anything is computed or sent.

    Args:
        settings: with a host.
        password: content of `password_file`.
        timeout_s: for one answer, seconds.

    Raises:
        InputError: a key is missing or not valid.
    """
    assert settings.host is not None, "without a host no e-mail is sent"
    if settings.sender is None:
        raise InputError("report.email.host is set, and report.email.sender is not", hint="set the address in From")
    for one in settings.recipients:
        address(one, "report.email.recipients")
    if (settings.user is None) is not (password is None):
        raise InputError("report.email.user and password_file belong together", hint="set both, or neither")
    if settings.user is not None and settings.tls == "none":
        problem = "report.email.tls is none, and report.email.user would send its password where others can read it"
        raise InputError(problem, hint="use starttls or implicit, or a server that needs no password")
    if password is not None and not (password.isascii() and password.isprintable()):
        problem = "the password in the file of report.email.password_file has characters that SMTP cannot send"
        raise InputError(problem, hint="the file has the password alone, on one line")
    return MailServer(
        settings.host,
        settings.port or _PORTS[settings.tls],
        settings.tls,
        address(settings.sender, "report.email.sender"),
        settings.user,
        password,
        _trust(settings.ca_file),
        timeout_s,
    )


def _trust(ca_file: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:  # ssl.SSLError is one
        raise InputError(
            f"cannot read certificates in {ca_file}: {error}", hint="check report.email.ca_file"
        ) from error


@dataclass(frozen=True, slots=True)
class Mail:
    """The report of one week as e-mail.

    Attributes:
        server: which sends it.
        views: its parts.
        recipients: addresses.
        key: what it is about, for the Message-ID.
    """

    server: MailServer
    views: Views
    recipients: Sequence[str]
    key: str
    name: str = "email"

    def send(self, recipient: str) -> None:
        """See `Channel`."""
        written = message(self.views, sender=self.server.sender, recipient=recipient, key=self.key).as_bytes()
        with _connected(self.server) as smtp:
            _accepted(self.server, *smtp.mail(self.server.sender))
            _accepted(self.server, *smtp.rcpt(recipient))
            _accepted(self.server, *smtp.docmd("DATA"))
            try:
                # From here on the server may deliver it, whatever its answer (RFC 5321, section 6.1).
                smtp.send(_LINE_WITH_DOT.sub(b"..", written) + b".\r\n")
                code, answer = smtp.getreply()
            except OSError as error:  # smtplib.SMTPException is one
                lost = f"the connection to {self.server.shown} was lost while it was sent: {_why(error)}"
                raise Lost(lost) from error
            _accepted(self.server, code, answer)


def reach(server: MailServer) -> str:
    """Connect, encrypt and sign in as for a report, and send nothing; return what was done.

    Raises:
        Failed: a report could not be sent.
    """
    with _connected(server) as smtp:
        _accepted(server, *smtp.noop())
    signed_in = "" if server.user is None else f", signed in as {server.user}"
    return f"{server.shown} answers, TLS {server.tls}{signed_in}; nothing was sent"


@contextmanager
def _connected(server: MailServer) -> Iterator[smtplib.SMTP]:
    """Connect, encrypt and sign in; nothing was sent if that fails."""
    smtp: smtplib.SMTP | None = None
    try:
        if server.tls == "implicit":
            smtp = smtplib.SMTP_SSL(server.host, server.port, timeout=server.timeout_s, context=server.trusted)
        else:
            smtp = smtplib.SMTP(server.host, server.port, timeout=server.timeout_s)
        smtp.ehlo_or_helo_if_needed()
        if server.tls == "starttls":
            smtp.starttls(context=server.trusted)
        if server.user is not None and server.password is not None:
            smtp.login(server.user, server.password)
        yield smtp
    except ssl.SSLCertVerificationError as error:
        raise Refused(f"the certificate of {server.shown} is not trusted: {error.verify_message}") from error
    except smtplib.SMTPNotSupportedError as error:
        raise Refused(f"{server.shown} does not offer what report.email.tls or user needs: {_why(error)}") from error
    except smtplib.SMTPResponseException as error:
        _accepted(server, error.smtp_code, _bytes(error.smtp_error))
        raise Refused(f"{server.shown}: {_why(error)}") from error
    except (OSError, smtplib.SMTPException) as error:  # SMTPServerDisconnected, among others
        raise Transient(f"no connection to {server.shown}: {_why(error)}") from error
    finally:
        if smtp is not None:
            with contextlib.suppress(OSError, smtplib.SMTPException):
                smtp.quit()
            smtp.close()


def _accepted(server: MailServer, code: int, answer: bytes) -> None:
    """Check an answer: 4xx may be another one later, 5xx not (RFC 5321, section 4.2.1)."""
    if 200 <= code < 400:
        return
    problem = f"{server.shown} answered {code} {_line(answer)}".rstrip()
    if 400 <= code < 500 or code == -1:
        raise Transient(problem)
    raise Refused(problem)


def _bytes(text: bytes | str) -> bytes:
    return text.encode("utf-8", "replace") if isinstance(text, str) else text


def _line(answer: bytes) -> str:
    """The beginning of a server's answer, without anything that moves a terminal's cursor."""
    text = " ".join(answer.decode("utf-8", "replace").split())
    return "".join(one for one in text if one.isprintable())[:200]


def _why(error: Exception) -> str:
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return _line(text.encode("utf-8", "replace")) or type(error).__name__
