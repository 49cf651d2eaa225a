"""The channels of the report."""

import typing

from gpuwise.config import Config
from gpuwise.wiring.secrets import secret

if typing.TYPE_CHECKING:
    from gpuwise.delivery.senders import Senders


def senders(config: Config) -> "Senders":
    """Return what sends a report.

    Raises:
        InputError: no channel is configured, one is not configured completely, or a secret cannot be read.
    """
    from gpuwise.delivery.senders import Senders  # noqa: PLC0415 - httpx takes 0.2 s

    given = config.report
    password = secret(given.email.password_file, "report.email.password_file")
    webhook = secret(given.slack.webhook_url_file, "report.slack.webhook_url_file")
    webhooks = {
        name: secret(one.slack_url_file, f"report.teams.{name}.slack_url_file") for name, one in given.teams.items()
    }
    return Senders.of(given, password=password, webhook=webhook, webhooks=webhooks)
