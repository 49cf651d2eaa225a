"""A snapshot: the fleet, its recommendations, the history and the policy at one instant, as one file."""

import gzip
import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import ValidationError

from gpuwise import __version__
from gpuwise.decide.decide import Decision, command, decide_checked
from gpuwise.decide.history import History
from gpuwise.decide.question import Situation
from gpuwise.decide.settings import DecideSettings
from gpuwise.model.codec import from_json, to_json
from gpuwise.model.command import POLICY, Command, Directive, Intent, Outcome, enactable
from gpuwise.model.errors import InputError
from gpuwise.model.inventory import Inventory
from gpuwise.model.recommendation import Blocked, Recommendation
from gpuwise.pipeline import Pipeline
from gpuwise.recommend.selection import best_plan

VERSION = 1
"""Version of the file's form; gpuwise reads this version only."""

# A snapshot of 10,000 workloads has 100 to 300 MB of JSON.
_MOST_BYTES = 4 << 30


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All that the decisions of one pass depend on. The numbers of the usage are the recommendations' evidence.

    Attributes:
        version: of the form.
        made_by: version of gpuwise.
        anonymised: whether names are replaced by pseudonyms.
        now_s: time of the decisions, epoch seconds.
        cluster: name of the cluster in reports.
        prices: version of the prices.
        settings: the policy in force.
        regions: the regions that each class of data allows.
        inventory: the fleet.
        recommendations: the best plan for people.
        alternatives: recommendations that exclude one of these and are worth less.
        intents: earlier commands that the decisions depend on.
        outcomes: of these commands.
        directives: orders from people.
        checks: what the enactor would refuse, whatever the policy is; None if there was no cluster to check.
        nodes: whether gpuwise may change nodes (enact.nodes).
    """

    version: int
    made_by: str
    anonymised: bool
    now_s: int
    cluster: str
    prices: str
    settings: DecideSettings
    regions: Mapping[str, tuple[str, ...]]
    inventory: Inventory
    recommendations: tuple[Recommendation, ...]
    alternatives: tuple[Recommendation, ...] = ()
    intents: tuple[Intent, ...] = ()
    outcomes: tuple[Outcome, ...] = ()
    directives: tuple[Directive, ...] = ()
    checks: tuple[Blocked, ...] | None = None
    nodes: bool = False


def take(pipeline: Pipeline, now_s: int) -> Snapshot:
    """Observe, score and recommend, and return what the decisions depend on. It writes nothing to the cluster.

    Args:
        pipeline: the loop; its checker must not apply the policy, because another one is tried later.
        now_s: the instant, epoch seconds.
    """
    survey = pipeline.survey(now_s)
    situation = pipeline.situation(survey, now_s)
    assert situation.inventory is not None, "a pass has an inventory"
    history, settings = situation.history, situation.settings
    checker = pipeline.checker
    return Snapshot(
        version=VERSION,
        made_by=__version__,
        anonymised=False,
        now_s=situation.now_s,
        cluster=pipeline.settings.cluster_name,
        prices=pipeline.prices.version,
        settings=settings,
        regions=situation.regions,
        inventory=situation.inventory,
        recommendations=survey.recommendations,
        alternatives=survey.alternatives,
        intents=tuple(history.intents),
        outcomes=tuple(history.outcomes),
        directives=tuple(history.directives),
        checks=None
        if checker is None
        else _checked(survey.recommendations, survey.alternatives, situation, checker.check),
        nodes=situation.nodes,
    )


def _checked(
    plan: tuple[Recommendation, ...],
    alternatives: tuple[Recommendation, ...],
    situation: Situation,
    check: Callable[[Command], Blocked | None],
) -> tuple[Blocked, ...]:
    """Return what the enactor would refuse among all that a policy could allow."""
    every = (*plan, *alternatives)
    items = [item for item in every if enactable(item.change, item.workload, nodes=situation.nodes)]
    # Decisions look at modes and approvals themselves: the check is of all else.
    orders = (replace(command(item, actor=POLICY, now_s=situation.now_s), approved_by=("anybody",)) for item in items)
    found = map(check, orders)
    return tuple(one for one in found if one is not None)


def decide_on(snapshot: Snapshot, settings: DecideSettings) -> Decision:
    """Decide as a pass of the loop does.

    Args:
        snapshot: the fleet, its recommendations and the history.
        settings: the policy.
    """
    history = History(snapshot.intents, snapshot.outcomes, snapshot.directives)
    situation = Situation(
        snapshot.inventory, history, settings, snapshot.now_s, regions=snapshot.regions, nodes=snapshot.nodes
    )
    refused = {one.recommendation_id: one for one in snapshot.checks or ()}
    return decide_checked(
        snapshot.recommendations,
        situation,
        alternatives=snapshot.alternatives,
        choose=best_plan,
        check=lambda order: refused.get(order.recommendation_id),
    )


def write(snapshot: Snapshot, file: Path) -> None:
    """Write a snapshot as gzip JSON. The same snapshot gives the same bytes.

    Raises:
        OSError: the file cannot be written.
    """
    file.write_bytes(gzip.compress(to_json(snapshot).encode(), mtime=0))


def read(file: Path) -> Snapshot:
    """Read a snapshot.

    Args:
        file: written by `write`, or its JSON without compression.

    Raises:
        InputError: the file cannot be read, is not a snapshot, or has another version.
    """
    try:
        raw = file.read_bytes()
        text = _unpacked(raw) if raw[:2] == b"\x1f\x8b" else raw
        head = json.loads(text)
    except OSError as error:
        raise InputError(f"cannot read {file}: {error.strerror}", hint="check --against") from error
    except (EOFError, gzip.BadGzipFile, ValueError, RecursionError) as error:
        raise _no_snapshot(file, "it is not gzip JSON") from error
    if not isinstance(head, dict) or "version" not in head:
        raise _no_snapshot(file, "it has no version")
    if head["version"] != VERSION:
        problem = f"{file} is a snapshot of version {head['version']!r}, by gpuwise {head.get('made_by')}"
        raise InputError(problem, hint=f"this gpuwise reads version {VERSION}: write it again, or use that gpuwise")
    try:
        return from_json(Snapshot, text)
    except ValidationError as error:
        first = error.errors()[0]
        raise _no_snapshot(file, f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from error


def _unpacked(raw: bytes) -> bytes:
    with gzip.GzipFile(fileobj=io.BytesIO(raw)) as packed:
        found = packed.read(_MOST_BYTES + 1)
    if len(found) > _MOST_BYTES:
        raise ValueError("too large")
    return found


def _no_snapshot(file: Path, why: str) -> InputError:
    return InputError(f"{file} is not a snapshot: {why}", hint="write one with `gpuwise snapshot -o FILE`")
