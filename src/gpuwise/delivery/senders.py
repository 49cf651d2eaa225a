"""The channels that a configuration names, checked before anything is computed or sent."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

from gpuwise.delivery import smtp, webhook
from gpuwise.delivery.channel import Channel, Failed
from gpuwise.delivery.settings import ReportSettings
from gpuwise.delivery.smtp import Mail, MailServer, mail_server
from gpuwise.delivery.webhook import Webhook, checked_url
from gpuwise.model.checks import CheckResult, CheckStatus
from gpuwise.model.errors import InputError
from gpuwise.model.report import WeeklyReport
from gpuwise.report.mail import Views
from gpuwise.report.slack import slack_message


@dataclass(frozen=True, slots=True)
class Senders:
    """What can send a report.

    Attributes:
        server: the mail server, None without one.
        addresses: who gets e-mail.
        webhook: address of Slack's webhook, a secret; None without one.
        timeout_s: for one answer, seconds.
    """

    server: MailServer | None
    addresses: Sequence[str]
    webhook: str | None = field(repr=False)
    timeout_s: float

    @classmethod
    def of(cls, settings: ReportSettings, *, password: str | None, webhook: str | None) -> "Senders":
        """Check the settings.

        Args:
            settings: of the report.
            password: content of `report.email.password_file`, None without one.
            webhook: content of `report.slack.webhook_url_file`, None without one.

        Raises:
            InputError: no channel is configured, or one is not configured completely.
        """
        email, slack = settings.email, settings.slack
        if email.host is None and slack.webhook_url_file is None:
            if email.recipients or email.sender is not None:
                raise InputError("report.email has no host", hint="set report.email.host, the SMTP server")
            hint = "set report.email.host, sender and recipients, or report.slack.webhook_url_file"
            raise InputError("--send: no channel is configured", hint=hint)
        server = None if email.host is None else mail_server(email, password, settings.timeout_s)
        url = None if slack.webhook_url_file is None else checked_url(webhook)
        return cls(server, email.recipients, url, settings.timeout_s)

    def reach(self) -> Iterator[CheckResult]:
        """Check each channel as far as is possible without sending anything, one result at a time."""
        if self.server is not None:
            yield _result("report by e-mail", partial(smtp.reach, self.server), "check report.email")
        if self.webhook is not None:
            check = partial(webhook.reach, self.webhook, self.timeout_s)
            yield _result("report to Slack", check, "check the network, and report.slack.webhook_url_file")

    def channels(self, report: WeeklyReport, cluster: str) -> list[Channel]:
        """Render the report for each channel.

        Args:
            report: what is sent.
            cluster: name of the cluster, for the Message-ID.
        """
        found: list[Channel] = []
        if self.server is not None:
            key = f"{cluster} {report.week} {report.selection or ''}"
            found.append(Mail(self.server, Views.of(report), self.addresses, key))
        if self.webhook is not None:
            found.append(Webhook(self.webhook, slack_message(report), self.timeout_s))
        return found


def _result(name: str, check: Callable[[], str], hint: str) -> CheckResult:
    try:
        return CheckResult(name, CheckStatus.OK, check())
    except Failed as error:
        return CheckResult(name, CheckStatus.FAILED, f"{error.problem}; {hint}")
