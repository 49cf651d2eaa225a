"""A small SMTP server (RFC 5321, with STARTTLS and AUTH PLAIN): it keeps what it accepts, and fails where told to.

Verbs are those of the protocol, and BODY for the end of the message.
"""

import base64
import socketserver
import ssl
import threading
from collections import defaultdict, deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

DROP = ""
"""An answer: the connection is closed without one."""


@dataclass
class Accepted:
    sender: str
    recipient: str
    content: bytes
    encrypted: bool
    user: str | None


@dataclass
class MailServer:
    port: int = 0
    tls: ssl.SSLContext | None = None
    implicit: bool = False
    users: dict[str, str] = field(default_factory=dict)
    accepted: list[Accepted] = field(default_factory=list)
    sessions: int = 0
    keeps_dropped: bool = True
    """Whether a message whose answer is lost was accepted."""
    _answers: defaultdict[str, deque[str]] = field(default_factory=lambda: defaultdict(deque))

    def answer(self, verb: str, *answers: str) -> None:
        """Give these answers to the next commands of that verb, then the usual one."""
        self._answers[verb].extend(answers)

    def next_answer(self, verb: str, usual: str) -> str:
        return self._answers[verb].popleft() if self._answers[verb] else usual


class _Session(socketserver.StreamRequestHandler):
    server: "_Server"
    timeout = 30

    def setup(self) -> None:
        if self.server.mail.implicit:
            assert self.server.mail.tls is not None
            self.request = self.server.mail.tls.wrap_socket(self.request, server_side=True)
        super().setup()

    def finish(self) -> None:
        super().finish()
        self.request.close()  # wrapped in TLS, it is another socket than the server's

    def handle(self) -> None:
        mail = self.server.mail
        mail.sessions += 1
        self.sender, self.recipient, self.user, self.encrypted = "", "", None, mail.implicit
        if not self._say(mail.next_answer("CONNECT", "220 mail.test")):
            return
        while line := self.rfile.readline():
            verb, _, rest = line.decode().strip().partition(" ")
            if not self._done(verb.upper(), rest):
                return

    def _done(self, verb: str, rest: str) -> bool:
        mail = self.server.mail
        usual = {"EHLO": self._extensions(), "QUIT": "221 bye", "DATA": "354 go on", "STARTTLS": "220 go on"}
        if verb == "AUTH":
            _, self.user, password = base64.b64decode(rest.partition(" ")[2]).decode().split("\0")
            usual["AUTH"] = "235 welcome" if mail.users.get(self.user) == password else "535 wrong password"
        elif verb == "MAIL":
            self.sender = rest.partition("<")[2].partition(">")[0]
        elif verb == "RCPT":
            self.recipient = rest.partition("<")[2].partition(">")[0]
        answer = mail.next_answer(verb, usual.get(verb, "250 ok"))
        if not self._say(answer) or verb == "QUIT":
            return False
        if verb == "STARTTLS" and answer.startswith("2"):
            assert mail.tls is not None
            self.request = mail.tls.wrap_socket(self.request, server_side=True)
            self.rfile, self.wfile = self.request.makefile("rb"), self.request.makefile("wb", buffering=0)
            self.encrypted = True
        if verb == "DATA" and answer.startswith("3"):
            return self._body()
        return True

    def _body(self) -> bool:
        mail, lines = self.server.mail, []
        while (line := self.rfile.readline()) not in (b".\r\n", b""):
            lines.append(line.removeprefix(b"."))
        answer = mail.next_answer("BODY", "250 accepted")
        if answer.startswith("2") or (answer == DROP and mail.keeps_dropped):
            mail.accepted.append(Accepted(self.sender, self.recipient, b"".join(lines), self.encrypted, self.user))
        return self._say(answer)

    def _extensions(self) -> str:
        mail = self.server.mail
        offered = ["mail.test"]
        if mail.tls is not None and not self.encrypted:
            offered.append("STARTTLS")
        if mail.users:
            offered.append("AUTH PLAIN")
        return "\r\n".join(f"250{'-' if one is not offered[-1] else ' '}{one}" for one in offered)

    def _say(self, answer: str) -> bool:
        if answer == DROP:
            return False
        self.wfile.write(f"{answer}\r\n".encode())
        return not answer.startswith("421")


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    mail: MailServer

    def handle_error(self, *_: object) -> None:
        """Do not log clients that do not trust the certificate."""


@contextmanager
def mail_server(
    *, tls: ssl.SSLContext | None = None, implicit: bool = False, users: dict[str, str] | None = None
) -> Iterator[MailServer]:
    """Serve on a free port of this machine."""
    with _Server(("127.0.0.1", 0), _Session) as server:
        server.mail = MailServer(server.server_address[1], tls, implicit, users or {})
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server.mail
        finally:
            server.shutdown()
            thread.join()
