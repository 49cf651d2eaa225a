"""The channels that a configuration names, checked before anything is computed or sent."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType

from gpuwise.delivery import smtp, webhook
from gpuwise.delivery.channel import Channel, Failed
from gpuwise.delivery.settings import ReportSettings, TeamSettings
from gpuwise.delivery.smtp import Mail, MailServer, mail_server
from gpuwise.delivery.webhook import Webhook, checked_url
from gpuwise.model.checks import CheckResult, CheckStatus
from gpuwise.model.errors import InputError
from gpuwise.model.report import WeeklyReport
from gpuwise.report.mail import Views, address
from gpuwise.report.slack import slack_message


@dataclass(frozen=True, slots=True)
class Senders:
    """What can send a report.

    Attributes:
        server: the mail server, None without one.
        addresses: who gets e-mail.
        webhook: address of Slack's webhook, a secret; None without one.
        timeout_s: for one answer, seconds.
        teams: what sends the reports of teams that have recipients of their own, by team.
    """

    server: MailServer | None
    addresses: Sequence[str]
    webhook: str | None = field(repr=False)
    timeout_s: float
    teams: Mapping[str, "Senders"] = field(default_factory=dict, repr=False)

    @classmethod
    def of(
        cls,
        settings: ReportSettings,
        *,
        password: str | None,
        webhook: str | None,
        webhooks: Mapping[str, str | None] = MappingProxyType({}),
    ) -> "Senders":
        """Check the settings.

        Args:
            settings: of the report.
            password: content of `report.email.password_file`, None without one.
            webhook: content of `report.slack.webhook_url_file`, None without one.
            webhooks: content of each team's `slack_url_file`, by team.

        Raises:
            InputError: no channel is configured, or one is not configured completely.
        """
        email, slack, teams = settings.email, settings.slack, settings.teams
        by_mail = next((name for name, one in teams.items() if one.email), None)
        if email.host is None and (email.recipients or email.sender is not None or by_mail is not None):
            raise InputError("report.email has no host", hint="set report.email.host, the SMTP server")
        if email.host is None and slack.webhook_url_file is None and not teams:
            hint = "set report.email.host, sender and recipients, or report.slack.webhook_url_file"
            raise InputError("--send: no channel is configured", hint=hint)
        if email.host is not None and not email.recipients and by_mail is None:
            problem = "report.email.host is set, and report.email.recipients is empty"
            raise InputError(problem, hint="name who gets the report")
        server = None if email.host is None else mail_server(email, password, settings.timeout_s)
        url = None if slack.webhook_url_file is None else checked_url(webhook)
        of_teams = {
            name: _of_team(name, one, server, webhooks.get(name), settings.timeout_s) for name, one in teams.items()
        }
        return cls(server, email.recipients, url, settings.timeout_s, of_teams)

    def of_report(self, team: str | None, *, each_team: bool = False) -> "Senders":
        """Return what sends the report of a team, or of the fleet.

        Args:
            team: None for the fleet. A team without recipients of its own has those of the fleet.
            each_team: whether the reports of teams are sent, too, so that the fleet's needs no recipient.

        Raises:
            InputError: nobody would get it.
        """
        found = self if team is None else self.teams.get(team, self)
        if not (found.addresses or found.webhook or (each_team and self.teams)):
            hint = "set report.email.recipients or report.slack.webhook_url_file"
            raise InputError("--send: no recipient is configured", hint=hint)
        return found

    def reach(self) -> Iterator[CheckResult]:
        """Check each channel as far as is possible without sending anything, one result at a time."""
        if self.server is not None:
            yield _result("report by e-mail", partial(smtp.reach, self.server), "check report.email")
        if self.webhook is not None:
            check = partial(webhook.reach, self.webhook, self.timeout_s)
            yield _result("report to Slack", check, "check the network, and report.slack.webhook_url_file")
        for name, one in self.teams.items():
            if one.webhook is not None:
                check = partial(webhook.reach, one.webhook, self.timeout_s)
                hint = f"check the network, and report.teams.{name}.slack_url_file"
                yield _result(f"report of team {name} to Slack", check, hint)

    def channels(self, report: WeeklyReport, cluster: str) -> list[Channel]:
        """Render the report for each channel.

        Args:
            report: what is sent.
            cluster: name of the cluster, for the Message-ID.
        """
        found: list[Channel] = []
        if self.server is not None and self.addresses:
            key = f"{cluster} {report.week} {report.selection or ''}"
            found.append(Mail(self.server, Views.of(report), self.addresses, key))
        if self.webhook is not None:
            found.append(Webhook(self.webhook, slack_message(report), self.timeout_s))
        return found


def _of_team(
    name: str, settings: TeamSettings, server: MailServer | None, webhook: str | None, timeout_s: float
) -> Senders:
    key = f"report.teams.{name}"
    if not settings.email and settings.slack_url_file is None:
        raise InputError(f"{key} names nobody", hint="set its email or slack_url_file, or remove it")
    for one in settings.email:
        address(one, f"{key}.email")
    url = None if settings.slack_url_file is None else checked_url(webhook, f"{key}.slack_url_file")
    return Senders(server if settings.email else None, settings.email, url, timeout_s)


def _result(name: str, check: Callable[[], str], hint: str) -> CheckResult:
    try:
        return CheckResult(name, CheckStatus.OK, check())
    except Failed as error:
        return CheckResult(name, CheckStatus.FAILED, f"{error.problem}; {hint}")
