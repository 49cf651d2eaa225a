"""Settings of the weekly report: its time zone, and to whom it is sent."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from pydantic import Field


@dataclass(frozen=True, slots=True)
class EmailSettings:
    """The mail server, and who gets the report from it."""

    host: str | None = None
    """SMTP server; without it no e-mail is sent."""

    port: Annotated[int, Field(ge=1, le=65_535)] | None = None
    """Port of the server; without a value 587 with starttls, 465 with implicit, 25 with none."""

    tls: Literal["starttls", "implicit", "none"] = "starttls"
    """Encryption: starttls requires it after the connection is made, implicit from the first byte on, none has none and
    sends no password."""

    ca_file: Path | None = None
    """CA certificates to trust instead of the public ones (or those in SSL_CERT_FILE), PEM."""

    sender: str | None = None
    """Address in From, such as gpuwise@example.com."""

    recipients: tuple[str, ...] = ()
    """Addresses. Each one gets its own message, and is sent the report of a week at most once."""

    user: str | None = None
    """User of the mail server; None does not sign in."""

    password_file: Path | None = None
    """File with the password of `user`. The password itself is never part of the configuration."""


@dataclass(frozen=True, slots=True)
class SlackSettings:
    """The channel in Slack that gets the report."""

    webhook_url_file: Path | None = None
    """File with the address of an incoming webhook, which is a secret: who knows it can post. Without it nothing is
    posted."""


@dataclass(frozen=True, slots=True)
class TeamSettings:
    """Who gets the report of one team."""

    email: tuple[str, ...] = ()
    """Addresses; `report.email` has the mail server and the sender."""

    slack_url_file: Path | None = None
    """File with the address of an incoming webhook, which is a secret."""


@dataclass(frozen=True, slots=True)
class ReportSettings:
    """The weekly report: the zone of its weeks, and to whom `gpuwise report --send` sends it."""

    time_zone: ZoneInfo = field(default_factory=lambda: ZoneInfo("UTC"))
    """IANA name of the zone in which a week begins on Monday 00:00, such as Europe/Berlin. With daylight saving a week
    may have 167 or 169 hours, and all of them are counted. Days within the report are those of UTC."""

    timeout_s: Annotated[float, Field(gt=0)] = 30.0
    """Timeout for one answer of the mail server or of Slack, in seconds."""

    email: EmailSettings = field(default_factory=EmailSettings)
    """The mail server."""

    slack: SlackSettings = field(default_factory=SlackSettings)
    """The channel in Slack."""

    teams: Mapping[str, TeamSettings] = field(default_factory=dict)
    """Who gets the report of a team, by its name: `email`, a list of addresses, and `slack_url_file`, a file with the
    address of a webhook. With `--each-team` or `--team`; a team that is not named here is sent nothing with
    `--each-team`."""
