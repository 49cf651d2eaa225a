"""`gpuwise policy check`: what a team should know about a manifest before it is deployed. Reads only."""

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import click

from gpuwise.cli import show
from gpuwise.cli.console import err, say
from gpuwise.cli.help import command
from gpuwise.cli.options import connection
from gpuwise.cli.paths import FILE
from gpuwise.config import Config
from gpuwise.decide.history import History
from gpuwise.decide.schema import attribute_docs
from gpuwise.lint.check import Checked
from gpuwise.lint.check import check as all_checks
from gpuwise.lint.finding import Code, Finding, Severity
from gpuwise.lint.manifests import Manifest, manifests
from gpuwise.lint.policies import Surroundings
from gpuwise.lint.sarif import sarif
from gpuwise.model.codec import to_json
from gpuwise.model.errors import InputError
from gpuwise.model.inventory import Inventory
from gpuwise.model.tagging import Tags
from gpuwise.wiring import known_fleet, open_ledger, prices

_SUFFIXES = frozenset({".yaml", ".yml", ".json"})
STDIN = "-"


@command()
@connection
@click.argument("paths", metavar="MANIFEST...", nargs=-1, type=FILE)
@click.option("-n", "--namespace", default="default", show_default=True, help="Of objects that name none.")
@click.option("-o", "--output", "form", type=click.Choice(["text", "json", "sarif"]), default="text", show_default=True)
@click.option("--strict", is_flag=True, help="Exit with 1 for warnings, too.")
@click.option("--codes", is_flag=True, help="List the codes and exit.")
@click.pass_context
def check(
    context: click.Context,
    config: Config,
    paths: tuple[Path, ...],
    namespace: str,
    form: str,
    *,
    strict: bool,
    codes: bool,
) -> None:
    """Check manifests before they are deployed: files, folders, or - for standard input.

    Residency, required labels, budgets, cost, and GPUs that are wasted by design. With --kubeconfig, --context or
    --recording the nodes of the fleet count; without, only what the manifest says. The exit code is 1 if there is an
    error, else 0.
    """
    if codes:
        docs = attribute_docs(Code)
        show.print_raw("\n".join(f"{one.value}: {docs[one.name]}" for one in Code))
        return
    if not paths:
        raise InputError("no manifest is given", hint="name files or folders, or - for standard input")
    found = _checked(config, paths, namespace)
    if form == "sarif":
        show.print_raw(json.dumps(sarif(found.findings), indent=2))
    elif form == "json":
        show.print_raw(to_json(found, indent=2))
    else:
        for one in found.findings:
            say(str(one))
    counts = {severity: sum(one.severity is severity for one in found.findings) for severity in Severity}
    numbers = ", ".join(f"{number} {severity.value}" for severity, number in counts.items())
    say(f"{found.objects} objects, {found.workloads} with GPUs: {numbers}", to=err)
    if counts[Severity.ERROR] or (strict and counts[Severity.WARNING]):
        context.exit(1)


def _checked(config: Config, paths: tuple[Path, ...], namespace: str) -> Checked:
    fleet = known_fleet(config)
    given = Surroundings(
        policy=config.policy,
        regions=config.recommend.regions_by_data_class,
        prices=prices(config),
        nodes=() if fleet is None else tuple(fleet.nodes.values()),
        history=_history(config, fleet),
        now_s=int(time.time()),
        tags=Tags(config.finops.tags),
    )
    namespaces = (
        {} if fleet is None else {one.name: {**one.labels, **one.annotations} for one in fleet.namespaces.values()}
    )
    return all_checks(_read(paths), given, namespaces=namespaces, default=namespace)


def _history(config: Config, fleet: Inventory | None) -> History | None:
    """What used the budgets, from the ledger if there is one."""
    if config.ledger.url is None and not config.ledger.path.expanduser().exists():
        return None
    with open_ledger(config) as ledger:
        ledger.belongs_to(fleet.cluster if fleet is not None else "")
        return History(*ledger.attempts(since_s=int(time.time()) - config.policy.longest_window_s))


def _read(paths: tuple[Path, ...]) -> Iterator[Manifest | Finding]:
    for path in paths:
        if str(path) == STDIN:
            yield from _of_bytes(STDIN, sys.stdin.buffer.read(), in_folder=False)
        elif path.is_dir():
            for file in sorted(one for one in path.rglob("*") if one.suffix in _SUFFIXES and one.is_file()):
                yield from _of_file(file, in_folder=True)
        else:
            yield from _of_file(path, in_folder=False)


def _of_file(file: Path, *, in_folder: bool) -> Iterator[Manifest | Finding]:
    try:
        content = file.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {file}: {error.strerror}", hint="check the path") from error
    yield from _of_bytes(str(file), content, in_folder=in_folder)


def _of_bytes(name: str, content: bytes, *, in_folder: bool) -> Iterator[Manifest | Finding]:
    try:
        text = content.decode()
    except UnicodeDecodeError:
        yield Finding(name, 1, Severity.ERROR, Code.UNREADABLE, "", "it is not text in UTF-8")
        return
    yield from manifests(name, text, in_folder=in_folder)
