"""`gpuwise explain`: a recommendation from metric to money, or why a workload has none. Reads only."""

from collections.abc import Iterable, Iterator

import click
from rich.text import Text

from gpuwise.cli import show
from gpuwise.cli.console import say
from gpuwise.cli.directives import by
from gpuwise.cli.help import command
from gpuwise.cli.options import connection
from gpuwise.config import Config
from gpuwise.decide.history import History, State
from gpuwise.decide.policies import position
from gpuwise.model.changes import CapPower, MakeSpace, MoveToOnDemand, MoveToSpot
from gpuwise.model.codec import to_json, to_plain
from gpuwise.model.command import ENACTABLE, Directive
from gpuwise.model.errors import InputError
from gpuwise.model.labels import CAPACITY_TYPE_LABELS, PACE, WORK, ZONE_LABEL
from gpuwise.model.ports import Ledger
from gpuwise.model.recommendation import Blocked, Evidence, Recommendation, Saving
from gpuwise.recommend.policies import Policy, policy_of
from gpuwise.report import wording as written
from gpuwise.report.reasons import reason
from gpuwise.wiring import open_ledger


@command()
@connection
@click.argument("subject", metavar="ID|WORKLOAD")
@click.option("-o", "--output", "form", type=click.Choice(["table", "json"]), default="table", show_default=True)
def explain(config: Config, subject: str, form: str) -> None:
    """Explain a recommendation (r-...), or why a workload has none. WORKLOAD is namespace/Kind/name."""
    with open_ledger(config) as ledger:
        history = History(ledger.intents(), ledger.outcomes(), ledger.directives())
        found, blocked = _about(ledger, history, subject)
    if not found and not blocked:
        raise InputError(f"nothing is known about {subject}", hint="run `gpuwise scan`; its table has the IDs")
    if form == "json":
        items = [
            to_plain(item)
            | {"state": history.state(item.id), "policy": to_plain(policy_of(item.finding))}
            | {"approvals": to_plain(tuple(history.approvals(item.id)))}
            for item in found
        ]
        show.print_raw(to_json({"recommendations": items, "holds": to_plain(tuple(blocked))}, indent=2))
        return
    for item in found:
        _recommended(item, history.state(item.id), _approvals(history.approvals(item.id)))
    for one in blocked:
        say(Text.assemble((f"{one.stage}: {one.reason.value}", "bold"), f" - {one.detail}"))
        if one.policy:
            say(Text(f"  {position(one.policy)} (docs/policy.md)"))
        _numbers(one.evidence)


def _approvals(approvals: Iterable[Directive]) -> Iterator[tuple[str, str]]:
    for number, one in enumerate(approvals):
        reason_given = f": {one.detail}" if one.detail else ""
        who = by(one.actor, authenticated=one.authenticated)
        yield "" if number else "Approved", f"{written.when(one.at_s)} by {who}{reason_given}"


def _about(ledger: Ledger, history: History, subject: str) -> tuple[list[Recommendation], list[Blocked]]:
    """The recommendations of the latest run, those carried out earlier, and what is blocked about them."""
    latest = {item.id: item for item in ledger.recommendations()}
    carried = {i.command.because.id: i.command.because for i in history.intents if i.command.because is not None}
    found = [item for item in (carried | latest).values() if subject in (item.id, str(item.workload))]
    named = {subject, *(str(item.workload) for item in found)}
    return found, [
        item for item in ledger.blocked() if str(item.workload) in named or item.recommendation_id == subject
    ]


def _recommended(item: Recommendation, state: State, approvals: Iterable[tuple[str, str]]) -> None:
    say(Text.assemble((f"{item.id}: {item.workload}: {written.change(item.change)}", "bold")))
    say(f"Finding    {written.finding(item.finding)} ({item.finding.value}), owner {item.owner or 'none'}")
    for code in item.reasons:
        say(f"           {reason(code)} ({code.value})")
    say(f"State      {state.value}; found {written.when(item.created_s)}, valid until {written.when(item.expires_s)}")
    for name, line in (*approvals, *_saving(item.saving)):
        say(Text(f"{name:10} {line}"))
    say(Text(f"Risk       {item.risk} of 4; confidence {item.confidence:.2f}"))
    say(Text(f"Data       {written.data(item)}"))
    say(f"Restart    {'yes' if item.restart_needed else 'no'}; effort {item.effort}")
    for name, line in _policy_lines(policy_of(item.finding)):
        say(Text(f"{name:10} {line}"))
    for ref, pod, node in getattr(item.change, "moves", ()):
        say(f"Move       {pod} of {ref} to {node}")
    _numbers(item.evidence)
    if state in {State.SUCCEEDED, State.DISMISSED}:
        return
    if written.next_step(item) == "apply":
        say(f"Do it      gpuwise apply {item.id}")
    else:
        say(f"Do it      {_manual(item)}")
    say(f"Or not     gpuwise dismiss {item.id} --reason '...'")


def _policy_lines(policy: Policy) -> Iterator[tuple[str, str]]:
    yield "Decided by", f"{policy.name}, {policy.engine}; backtest: {policy.row or 'none'}"
    for number, figure in enumerate(policy.figures):
        yield "" if number else "How good", f"{figure.about}: {figure.value:,.3g}"
    if policy.limits:
        yield "" if policy.figures else "How good", policy.limits


def _manual(item: Recommendation) -> str:
    if isinstance(item.change, MakeSpace):
        return (
            "evict these pods in this order: their controllers create them again, where the scheduler puts them"
            if item.change.moves
            else _HELD
        )
    if item.workload.kind == "Node":
        return "the owner of the node does it: gpuwise does not write to nodes"
    if isinstance(item.change, CapPower):
        set_limit = f"nvidia-smi -i INDEX -pl {item.change.limit_w:.0f}"
        return f"on the nodes of its pods, for each of its GPUs: {set_limit} (until the next restart of the node)"
    if isinstance(item.change, MoveToSpot | MoveToOnDemand):
        return _recreated(item)
    return f"change the manifest: gpuwise does not write this to a {item.workload.kind}"


def _recreated(item: Recommendation) -> str:
    """How its owner moves a job: the template of a Job cannot be changed."""
    ref, change = item.workload, item.change
    operator = "In" if isinstance(change, MoveToSpot) else "NotIn"
    how = (
        "requires"
        if isinstance(change, MoveToOnDemand) or (isinstance(change, MoveToSpot) and change.only)
        else "prefers"
    )
    where = f", and {ZONE_LABEL} In [{change.zone}]" if isinstance(change, MoveToSpot) and change.zone else ""
    affinity = f"a node affinity that {how} {CAPACITY_TYPE_LABELS[0]} {operator} [spot] (or your provider's){where}"
    if ref.kind in ENACTABLE[change.kind]:
        return f"after its next checkpoint, give its pod template {affinity}"
    return (
        f"after its next checkpoint, `kubectl -n {ref.namespace} delete {ref.kind.lower()} {ref.name}` and create it "
        f"again with {affinity}{_carried(item)}"
    )


def _carried(item: Recommendation) -> str:
    """What the new object has to declare, because its counter begins again."""
    values = {key: one.value for one in item.evidence for key in (WORK, PACE) if one.text.startswith(_SAID[key])}
    named = " and ".join(f"{key}: {value:.10g}" for key, value in values.items() if value is not None)
    return f"; declare what is left: {named}" if named else ""


_SAID = {WORK: "work left", PACE: "slowest pace"}
"""How the evidence of a job with a deadline begins."""


_HELD = "look for what holds the pod: its events, scheduling gates and quotas"


def _saving(saving: Saving) -> Iterator[tuple[str, str]]:
    low, high = written.usd(saving.low_usd_month), written.usd(saving.high_usd_month)
    yield "Saving", f"{written.usd(saving.usd_month)} a month, between {low} and {high}"
    if saving.gpu_h_month > 0:
        price = written.usd(saving.usd_month / saving.gpu_h_month)
        yield "", f"{saving.gpu_h_month:,.0f} GPU-hours a month x {price} an hour on its nodes"
    if saving.kwh_month is not None:
        carbon = saving.kg_co2e_month
        emitted = "CO2e unknown: no grid intensity for its region" if carbon is None else f"{carbon:,.0f} kg CO2e"
        yield "Energy", f"{saving.kwh_month:,.0f} kWh a month, {emitted}"


def _numbers(evidence: tuple[Evidence, ...]) -> None:
    for number in evidence:
        if number.value is None and number.signal is None:  # a fact without a number
            say(Text(f"  {number.text}"))
            continue
        value = "no samples" if number.value is None else f"{number.value:,.4g} {number.unit}"
        limit = "" if number.threshold is None else f" (threshold {number.threshold:,.4g})"
        say(Text(f"  {number.text}: {number.statistic} {value}{limit}"))
        if number.query is not None:
            say(Text(f"    {number.query}", "dim"))
