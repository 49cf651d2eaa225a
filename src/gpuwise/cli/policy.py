"""`gpuwise policy`: the schema of policy files, and what a policy would change before it is merged. Reads only."""

import json
from pathlib import Path

import click
from rich.text import Text

from gpuwise.cli import show
from gpuwise.cli.console import out, say
from gpuwise.cli.help import group
from gpuwise.cli.listing import Column, Row, listing, wrapped
from gpuwise.cli.paths import FILE
from gpuwise.cli.plan import detailed
from gpuwise.cli.policy_check import check
from gpuwise.cli.snapshot import read_key
from gpuwise.config import load
from gpuwise.decide.schema import policy_schema
from gpuwise.decide.settings import DecideSettings
from gpuwise.model.codec import to_json
from gpuwise.report import wording as written
from gpuwise.snapshots.anonymise import anonymised_policy, inexact, unmatched
from gpuwise.snapshots.compare import BudgetUse, Comparison, Difference, Effect, Verdict, compare
from gpuwise.snapshots.snapshot import Snapshot, read


@group()
def policy() -> None:
    """Test a policy before it is merged, check a manifest before it is deployed."""


policy.add_command(check)


@policy.command("schema")
def schema() -> None:
    """Print the JSON schema of a policy file, for editors and CI."""
    show.print_raw(json.dumps(policy_schema(), indent=2))


@policy.command("test")
@click.argument("file", type=FILE)
@click.option("--against", "taken", type=FILE, required=True, metavar="SNAPSHOT", help="Of `gpuwise snapshot`.")
@click.option("--key-file", type=FILE, help="Key of the snapshot's pseudonyms: names in FILE then match.")
@click.option("-o", "--output", "form", type=click.Choice(["table", "json"]), default="table", show_default=True)
@detailed
@click.pass_context
def test(
    context: click.Context,
    file: Path,
    taken: Path,
    key_file: Path | None,
    form: str,
    detailed_exitcode: bool,  # noqa: FBT001 - click
) -> None:
    """Show what a policy file would change: the decisions on a snapshot under its own policy and under FILE.

    FILE alone is the new policy: flags and environment variables do not change it. The exit code is 0, 1 on an error,
    and with --detailed-exitcode 2 if the decisions differ.
    """
    settings = load(None, {}, {"policy_file": file}).policy
    snapshot = read(taken)
    notes = _notes(snapshot, settings, keyed=key_file is not None)
    if snapshot.anonymised and key_file is not None:
        settings = anonymised_policy(settings, read_key(key_file))
    found = compare(snapshot, settings, notes=notes)
    if form == "json":
        show.print_raw(to_json(found, indent=2))
    else:
        _show(found)
    if detailed_exitcode and found.differences:
        context.exit(2)


def _notes(snapshot: Snapshot, settings: DecideSettings, *, keyed: bool) -> tuple[str, ...]:
    notes = []
    known_s, wanted_s = snapshot.settings.longest_window_s, settings.longest_window_s
    if wanted_s > known_s:
        notes.append(
            f"A budget of the policy covers {wanted_s} s, and the snapshot has the changes of the last {known_s} s:"
            " more of it may be used up than is shown."
        )
    if snapshot.checks is None:
        notes.append("The snapshot was taken without a cluster: the enactor may refuse some of the commands.")
    if snapshot.anonymised and not keyed and (names := unmatched(settings)):
        why = "the snapshot has pseudonyms; take it with --plain, or give its --key-file"
        notes.append(f"These match nothing: {', '.join(names)}: {why}.")
    if snapshot.anonymised and (odd := sorted({*inexact(settings), *inexact(snapshot.settings)})):
        notes.append(f"These rules look at parts of names, and the snapshot has pseudonyms: {', '.join(odd)}.")
    return tuple(notes)


_TITLES = {
    Effect.GAINED: "gpuwise would also do",
    Effect.LOST: "gpuwise would no longer do",
    Effect.OTHER_REASON: "Blocked for another reason",
}


_COLUMNS = (Column("ID"), Column("USD/month", right=True), Column("GPUs", right=True), Column("Change, and why"))


def _show(found: Comparison) -> None:
    for note in found.notes:
        say(Text("\n".join(wrapped(note, out.width)), "yellow"))
    for effect, title in _TITLES.items():
        rows = [_row(one) for one in found.differences if one.effect is effect]
        if rows:
            columns = (
                Column("ID"),
                Column("USD/month", right=True),
                Column("GPUs", right=True),
                Column("Change, and why"),
            )
            show.put(listing(f"{title} ({len(rows)})", columns, rows, width=out.width))
    if not found.differences:
        say(Text("The decisions are the same.", "bold"))
    show.put(_totals(found))


def _row(one: Difference) -> Row:
    why = f"{written.change(one.change)}; {_said(one.before)} -> {_said(one.after)}"
    return Row(str(one.workload), (one.recommendation_id, written.usd(one.usd_month), f"{one.gpus:.1f}", why))


def _said(verdict: Verdict) -> str:
    if verdict.planned:
        return "planned"
    return f"{verdict.reason.value} ({verdict.policy}: {verdict.detail})" if verdict.reason else verdict.detail


def _totals(found: Comparison) -> Text:
    lines = []
    for name, one in (("Now", found.before), ("With FILE", found.after)):
        worth = f"{one.gpus:.1f} GPUs, {written.usd(one.usd_month)} a month"
        lines.append(f"{name}: {one.commands} commands ({worth}), {one.blocked} blocked")
        lines += [f"  budget of {use.scope}: {_used(use)}" for use in one.budgets]
    return Text("\n".join(lines))


def _used(use: BudgetUse) -> str:
    return f"{use.used} used and {use.planned} planned of {use.disruptions} in {use.per_s} s"
