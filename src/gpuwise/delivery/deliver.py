"""Send a report to each recipient: at most once for a week, with retries where nobody can have got it.

The intent is in the ledger before the message is sent, and the outcome after it. So a process that ends in between
leaves a delivery of which nobody knows whether it arrived: the next one reports it, and does not repeat it unless a
person asks for that.
"""

import shlex
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

from gpuwise.delivery.channel import Channel, Failed, Lost, Transient
from gpuwise.model.delivery import Delivery, DeliveryStatus
from gpuwise.model.errors import DeliveryError
from gpuwise.model.ports import Ledger

TRIES = 4
FIRST_WAIT_S, GROWTH = 0.5, 4.0
"""Pauses between the tries: 0.5, 2 and 8 s, unless the server names a longer one."""

_TEAM, _CLUSTERS = "team ", "clusters "
"""How the scope of a report of a team, and that of one of several clusters, begins."""

LONGEST_WAIT_S = 60.0
"""A recipient is given up if the server asks for a longer pause: the next run tries again."""


@dataclass(frozen=True, slots=True)
class Result:
    """How a delivery ended.

    Attributes:
        delivery: the last event of it.
        earlier: nothing was sent now: the event is of an earlier run.
    """

    delivery: Delivery
    earlier: bool = False

    @property
    def failed(self) -> bool:
        """Whether the recipient does not have the report for certain."""
        return self.delivery.status is not DeliveryStatus.SENT

    def __str__(self) -> str:
        """Format it for a person."""
        one, whom = self.delivery, _whom(self.delivery)
        again = f"`{_command({one.scope})} --again` sends it again"
        if self.earlier and not self.failed:
            return f"{whom}: {one.week} was sent before; {again}"
        if self.earlier:
            why = one.detail or "an earlier run ended before its end was recorded"
            return f"{whom}: {one.week} may have been sent before: {why}; {again}"
        words = {
            DeliveryStatus.SENT: "sent",
            DeliveryStatus.NOT_SENT: f"not sent: {one.detail}",
            DeliveryStatus.UNKNOWN: f"may have been sent: {one.detail}; {again}",
        }
        return f"{whom}: {words[one.status]}"


def wanted(channels: Sequence[Channel], *, week: str, scope: str, at_s: int) -> list[tuple[Channel, Delivery]]:
    """List what is to be sent, each recipient once.

    Args:
        channels: where to.
        week: ISO week of the report.
        scope: what the report covers, "" for the whole fleet.
        at_s: now, epoch seconds.
    """
    return [
        (channel, Delivery(week, scope, channel.name, recipient, DeliveryStatus.BEGUN, at_s))
        for channel in channels
        for recipient in dict.fromkeys(channel.recipients)
    ]


def deliver(
    todo: Sequence[tuple[Channel, Delivery]],
    ledger: Ledger,
    *,
    again: bool,
    clock: Callable[[], int],
    wait: Callable[[float], object],
) -> list[Result]:
    """Send what was not sent before; a recipient or channel that fails does not stop the others.

    Args:
        todo: from `wanted`.
        ledger: what was sent, by whichever process.
        again: send also what was sent before.
        clock: epoch seconds.
        wait: waits some seconds before a retry.
    """
    results = []
    for channel, one in todo:
        earlier = ledger.begin_delivery(one, again=again)
        if earlier is not None:
            results.append(Result(earlier, earlier=True))
            continue
        status, detail = _sent(channel, one.recipient, wait)
        ended = replace(one, status=status, detail=detail, at_s=clock())
        ledger.record_delivery(ended)
        results.append(Result(ended))
    return results


def failure(results: Sequence[Result]) -> DeliveryError | None:
    """The error that names each delivery that failed; None if everybody has the report."""
    failed = [one for one in results if one.failed]
    if not failed:
        return None
    unclear = any(one.delivery.status is not DeliveryStatus.NOT_SENT for one in failed)
    hint = _ask(failed) if unclear else f"run `{_command({one.delivery.scope for one in failed})}` again"
    sent = len(results) - len(failed)
    problem = f"{len(failed)} of {len(results)} deliveries failed ({sent} sent): {'; '.join(map(_brief, failed))}"
    return DeliveryError(problem, hint=hint)


def _brief(result: Result) -> str:
    one = result.delivery
    unclear = "" if one.status is DeliveryStatus.NOT_SENT else "it is not known whether it was sent"
    return f"{_whom(one)}: {', '.join(filter(None, (unclear, one.detail)))}"


def _whom(one: Delivery) -> str:
    """The recipient, with what the report covers unless that is the fleet."""
    return f"{one.channel} {one.recipient}{f' ({one.scope})' if one.scope else ''}"


def _ask(failed: Sequence[Result]) -> str:
    """What to do where it is not known whether a report arrived: --again would send those that did once more."""
    scopes = {one.delivery.scope for one in failed if one.delivery.status is not DeliveryStatus.NOT_SENT}
    if len(scopes) == 1:
        return f"ask the recipient, and run `{_command(scopes)} --again` if it did not arrive"
    return "ask the recipients, and run the command with --again in the line of each report that did not arrive"


def _command(scopes: Collection[str]) -> str:
    """The command that sends the reports of some scopes, which are those of `wanted`."""
    if any(one.startswith(_CLUSTERS) for one in scopes):
        return "gpuwise report --combine FILE --combine FILE --send"
    teams = [one.removeprefix(_TEAM) for one in scopes if one.startswith(_TEAM)]
    if not teams:
        return "gpuwise report --send"
    return f"gpuwise report {'--each-team' if len(scopes) > 1 else f'--team {shlex.quote(teams[0])}'} --send"


def _sent(channel: Channel, recipient: str, wait: Callable[[float], object]) -> tuple[DeliveryStatus, str]:
    """Try to send, and return the status with its explanation."""
    pause_s = FIRST_WAIT_S
    for number in range(1, TRIES + 1):
        try:
            channel.send(recipient)
        except Lost as error:
            return DeliveryStatus.UNKNOWN, error.problem
        except Transient as error:
            next_s = max(pause_s, error.retry_after_s or 0.0)
            if number == TRIES:
                return DeliveryStatus.NOT_SENT, f"{error.problem}, after {TRIES} tries"
            if next_s > LONGEST_WAIT_S:
                return DeliveryStatus.NOT_SENT, f"{error.problem}, and it asks to wait {next_s:.0f} s"
            wait(next_s)
            pause_s *= GROWTH
        except Failed as error:
            return DeliveryStatus.NOT_SENT, error.problem
        else:
            return DeliveryStatus.SENT, "" if number == 1 else f"at try {number}"
    raise AssertionError("the last try returns")
