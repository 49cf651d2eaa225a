"""The report as an e-mail: a text part, a simple HTML part that mail clients show, and the page as an attachment."""

import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime

from gpuwise.model.errors import InputError
from gpuwise.model.report import WeeklyReport
from gpuwise.report.render import file_stem, render_html, render_mail, render_markdown
from gpuwise.report.subject import subject

# RFC 5322's dot-atom at a domain; quoted local parts and display names are not accepted, so nothing needs quoting.
_ADDRESS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]+@[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?")
# RFC 5322, section 2.1.1: at most 998 octets in a line; a subject beyond this is shown nowhere.
_LONGEST_SUBJECT = 200
# At 78, the default, a long subject is folded before its first word, and some clients show it with a space in front.
_POLICY = SMTP.clone(max_line_length=998)


@dataclass(frozen=True, slots=True)
class Views:
    """The parts of an e-mail, which are the same for each recipient.

    Attributes:
        subject: of the message; it has the number.
        text: the Markdown.
        html: simple HTML without style sheet, picture or script.
        page: the report as a page of its own, which is attached.
        name: file name of the attachment.
        date_s: when the report was generated, epoch seconds.
    """

    subject: str
    text: str
    html: str
    page: str
    name: str
    date_s: int

    @classmethod
    def of(cls, report: WeeklyReport) -> "Views":
        """Render the parts."""
        where = _one_line(report.cluster if report.selection is None else f"{report.cluster}, {report.selection}")
        line = f"{subject(report)} ({where})"[:_LONGEST_SUBJECT]
        name = f"{file_stem(report)}.html"
        return cls(line, render_markdown(report), render_mail(report), render_html(report), name, report.generated_s)


def render_email(report: WeeklyReport, *, sender: str, recipient: str) -> EmailMessage:
    """Render the report as an e-mail; see `message`."""
    return message(Views.of(report), sender=sender, recipient=recipient, key=f"{report.week} {report.cluster}")


def message(views: Views, *, sender: str, recipient: str, key: str) -> EmailMessage:
    """Return the message for one recipient.

    Args:
        views: the parts.
        sender: address in From.
        recipient: address in To.
        key: what the message is about. The Message-ID is made of it, so a server that gets the same report twice can
            recognise the second one.

    Raises:
        InputError: an address is not valid.
    """
    addressed = EmailMessage(policy=_POLICY)
    addressed["Subject"] = views.subject
    addressed["From"] = Address("gpuwise", addr_spec=address(sender, "report.email.sender"))
    addressed["To"] = address(recipient, "report.email.recipients")
    addressed["Date"] = format_datetime(datetime.fromtimestamp(views.date_s, UTC))
    digest = hashlib.sha256(f"{key} {recipient}".encode()).hexdigest()[:32]
    addressed["Message-ID"] = f"<{digest}@{sender.rpartition('@')[2]}>"
    addressed["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office reply
    addressed.set_content(views.text, cte="base64")
    addressed.add_alternative(views.html, subtype="html", cte="base64")
    addressed.add_attachment(views.page, subtype="html", filename=views.name, cte="base64")
    return addressed


def address(text: str, key: str) -> str:
    """Return an address as it is, if it is one.

    Args:
        text: such as "gpu@example.com".
        key: where it is configured, for the error.

    Raises:
        InputError: it is not one address, or has characters that need quoting.
    """
    if _ADDRESS.fullmatch(text) is None or len(text) > 254:  # RFC 5321, section 4.5.3.1, as corrected
        raise InputError(
            f"{key}: {text!r} is not an address", hint="write it as name@example.com, without a name before it"
        )
    return text


def _one_line(text: str) -> str:
    """Text without line breaks and control characters, which no header may have."""
    return "".join(one for one in " ".join(text.split()) if one.isprintable())
