"""The oracle: what must hold in the log of the world and in the ledger after the faults have stopped.

Names are those of the safety specification (docs/safety.md). Each check returns messages; none is an exception, so that
one schedule shows all that it breaks.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator

from tests.faults.log import Effect, Row, mark_of
from tests.faults.process import POLICY as SETTINGS
from tests.faults.signals import GOOD
from tests.faults.world import HOUR_S, World

from gpuwise.emulate.resources import NODES
from gpuwise.enact.canary import stage
from gpuwise.enact.images import image_of
from gpuwise.enact.node_steps import LAYOUT
from gpuwise.model.changes import MoveToOnDemand, Repartition
from gpuwise.model.command import POLICY, Intent, Limit, Outcome, OutcomeStatus
from gpuwise.model.errors import LedgerError
from gpuwise.model.labels import EXPIRES
from gpuwise.model.reasons import Reason

_WROTE = frozenset({OutcomeStatus.APPLIED, OutcomeStatus.UNDONE, OutcomeStatus.REVERTED, OutcomeStatus.FAILED})
_FAILED = frozenset({OutcomeStatus.FAILED, OutcomeStatus.NOT_APPLIED, OutcomeStatus.REVERTED})


def violations(world: World) -> list[str]:
    """All violations, each with the name of its invariant."""
    return [f"{name}: {text}" for name, check in CHECKS.items() for text in check(world)]


def _applied(world: World) -> list[Effect]:
    """The effects that disrupt something: each needs an intent and budget of its own."""
    return [one for one in world.effects if one.role in ("apply", "step")]


def _intents(world: World) -> dict[str, Intent]:
    return {one.command.id: one for one in world.ledger.intents()}


def _outcomes(world: World) -> dict[str, list[Outcome]]:
    found = defaultdict(list)
    for one in world.ledger.outcomes():
        found[one.command_id].append(one)
    return found


def _uses(intent: Intent, limit: Limit) -> bool:
    """A write to a node disrupts no pod of a namespace; an eviction disrupts one of its own."""
    if intent.command.workload.kind != "Node" or not limit.scope.startswith("namespace/"):
        return True
    return limit.scope == f"namespace/{intent.pre_image.get('pod', '').split('/')[0]}"


def budgets(world: World) -> Iterator[str]:
    """I5: no window has more disruptions than its budget, on the clock of the ledger, and on the true one if equal."""
    intents, true_s = _intents(world), {}
    for row in world.rows:
        if row.kind == "record_intent":
            true_s[row.value.command.id] = row.at_s
    landed = [intents[one.command_id] for one in _applied(world) if one.command_id in intents]
    clocks = {"the ledger's": lambda intent: intent.at_s}
    if not world.jumped:
        clocks["the true"] = lambda intent: true_s[intent.command.id]
    for limit in {limit for intent in landed for limit in intent.command.limits}:
        ours = [one for one in landed if limit in one.command.limits and _uses(one, limit)]
        for name, clock in clocks.items():
            times = sorted(map(clock, ours))
            for at in times:
                inside = sum(at - limit.per_s < time <= at for time in times)
                if inside > limit.disruptions:
                    yield f"{inside} disruptions in the {limit.per_s} s before {at} on {name} clock; budget {limit}"
                    break


def earlier_terms(world: World) -> Iterator[str]:
    """I6, I7: no write of an earlier term takes effect after a takeover.

    The API server may still process a request that hung. Then the action must be open in the ledger: the next leader
    has concluded nothing about it. Only evictions cannot be fenced: they are looked at again after a minute.
    """
    for one in world.effects:
        if one.epoch in (None, one.latest) or (one.late and _is_open(world, one)):
            continue
        yield f"{one.process} of term {one.epoch} wrote {one.path} in term {one.latest} ({one.operation})"


def _is_open(world: World, effect: Effect) -> bool:
    rows = [row.value.status for row in world.rows if row.seq < effect.seq and _concludes(row, effect.command_id)]
    return not rows or rows[-1] in (OutcomeStatus.UNKNOWN, OutcomeStatus.WATCHING)


def _concludes(row: Row, command_id: str) -> bool:
    return row.kind == "record_outcome" and row.value.command_id == command_id


def once(world: World) -> Iterator[str]:
    """I8: an action is written at most once, and has an outcome in the end."""
    for command_id, effects in _by_action(world).items():
        if len(effects) > 1:
            yield f"{command_id} was written {len(effects)} times"
    for intent in world.ledger.unsettled():
        yield f"{intent.command.id} on {intent.command.workload} still has no outcome"


def _by_action(world: World) -> dict[str, list[Effect]]:
    found = defaultdict(list)
    for one in _applied(world):
        found[one.command_id].append(one)
    return found


def preconditions(world: World) -> Iterator[str]:
    """I9: an effect changes the object that was planned for, as it was when it was checked."""
    intents = _intents(world)
    for one in world.effects:
        intent = intents.get(one.command_id)
        if intent is None or one.before is None:
            continue
        if intent.command.workload.kind == "Node":
            yield from _node_precondition(one, intent)
            continue
        if one.before["metadata"]["uid"] != intent.command.workload.uid:
            yield f"{one.command_id} wrote {one.path} of another uid"
        old = intent.pre_image if one.role == "apply" else intent.post_image
        actual = image_of(one.before, intent.pre_image, intent.post_image)
        if one.role == "apply" and actual != old:
            yield f"{one.command_id} wrote {one.path} over a change that it had not seen: {actual} and not {old}"


def _node_precondition(one: Effect, intent: Intent) -> Iterator[str]:
    metadata = one.before["metadata"]
    if one.path.endswith("/eviction") and metadata["uid"] != intent.pre_image["uid"]:
        yield f"{one.command_id} evicted another pod of the name {metadata['name']}"
    elif one.role in ("apply", "step") and metadata["resourceVersion"] != intent.resource_version:
        yield f"{one.command_id} wrote {one.path} over a change that it had not seen"


def protections(world: World) -> Iterator[str]:
    """I10: no effect on a target that was protected when it was written, or when its pods and namespace were read.

    A write to the target itself has its resourceVersion. A cordon or an eviction cannot have that of the pods' owner:
    what counts is that it was not protected when it was read, which is the last read before the write.
    """
    for one in _applied(world):
        subject = world.subject_at(one.path)
        evicts, guarded = one.path.endswith("/eviction"), one.path if subject is None else subject.guarded
        checked, since = one.reads.checked, world.guarded.workload.get(guarded)
        seen = since is not None and since < (one.seq if one.path == guarded else checked.get(guarded, one.seq))
        if seen and (evicts or one.before["metadata"]["uid"] == _uid(world, one.path)):
            yield f"{one.command_id} wrote {one.path}, which was protected"
        read = checked.get("/api/v1/namespaces/team", 0)
        inside = "/namespaces/" in guarded
        if inside and world.guarded.namespace is not None and world.guarded.namespace < read < one.seq:
            yield f"{one.command_id} wrote {one.path}, whose namespace was protected"
        since = world.guarded.budgets.get(guarded)
        read = one.seq if evicts else checked.get("/apis/policy/v1/namespaces/team/poddisruptionbudgets", 0)
        if since is not None and since < read <= one.seq and (evicts or one.path == guarded):
            yield f"{one.command_id} wrote {one.path}, whose PodDisruptionBudget allowed no disruption"


def _uid(world: World, path: str) -> str:
    found = world.cluster.peek(path)
    return "" if found is None else found["metadata"]["uid"]


def restored(world: World) -> Iterator[str]:
    """I12: an undo restores exactly what was, and only where nobody changed it since."""
    intents = _intents(world)
    for one in world.effects:
        if one.role != "restore" or one.command_id not in intents:
            continue
        intent = intents[one.command_id]
        images = [_of_ours(intent, image) for image in (intent.pre_image, intent.post_image)]
        before, after = image_of(one.before, *images), image_of(one.after, *images)
        if after != images[0]:
            yield f"after {one.operation} of {one.command_id}, {one.path} has {after} and not {images[0]}"
        if intent.command.workload.kind == "Node" or one.operation == "wake":
            continue  # a node's marks expire, and a person who wakes an object wants it as it was
        unmarked = {at: value for at, value in before.items() if not at.startswith("/metadata/annotations/gpuwise.dev")}
        only_mark = all(intent.pre_image.get(at) == value for at, value in unmarked.items())
        # After a canary, the fields that made the other pods wait have the owner's values again.
        if before != stage(intent, before) and not only_mark:
            yield f"{one.operation} of {one.command_id} overwrote a change of {one.path}: {before}"


def _of_ours(intent: Intent, image: dict) -> dict:
    """The fields that an undo restores: of a node, not its layout."""
    return {at: value for at, value in image.items() if at != LAYOUT}


def oscillation(world: World) -> Iterator[str]:
    """I14: automation changes a target at most once per cool-down.

    A move to on-demand, which a deadline needs, is tried again if the last one failed.
    """
    intents, outcomes = _intents(world), _outcomes(world)
    last: dict[str, Intent] = {}
    for one in _applied(world):
        intent = intents.get(one.command_id)
        if intent is None or intent.command.actor != POLICY or intent.step_of:
            continue
        uid = intent.command.workload.uid
        urgent = isinstance(intent.command.change, MoveToOnDemand) and uid in last
        if urgent and any(found.status in _FAILED for found in outcomes[last[uid].command.id]):
            continue
        if uid in last and intent.at_s - last[uid].at_s < SETTINGS.cool_down_h * HOUR_S:
            yield f"{one.command_id} changed {one.path} {intent.at_s - last[uid].at_s} s after {last[uid].command.id}"
        last[uid] = intent


def breaker(world: World) -> Iterator[str]:
    """I15: after two failed attempts automation leaves a target alone for a day."""
    latest: dict[str, Outcome] = {}
    attempts: dict[str, list[Intent]] = defaultdict(list)
    for row in world.rows:
        if row.kind == "record_outcome":
            latest[row.value.command_id] = row.value
        if row.kind != "record_intent" or row.value.step_of:
            continue
        intent = row.value
        earlier = attempts[intent.command.workload.uid]
        known = [latest.get(one.command.id) for one in earlier[-SETTINGS.breaker_failures :]]
        failed = [one for one in known if one is not None and one.status in _FAILED]
        if intent.command.actor == POLICY and len(failed) == SETTINGS.breaker_failures:
            by_policy = all(one.command.actor == POLICY for one in earlier[-SETTINGS.breaker_failures :])
            since_s = intent.at_s - max(one.at_s for one in failed)
            if by_policy and since_s < SETTINGS.breaker_open_h * HOUR_S:
                yield f"{intent.command.id} is attempt {len(earlier) + 1}, {since_s} s after {len(failed)} failures"
        earlier.append(intent)


def recorded(world: World) -> Iterator[str]:
    """I25: the chain verifies, and each effect has exactly one intent, with an actor and evidence, before it."""
    try:
        world.ledger.verify(whole=True)
    except LedgerError as error:
        yield str(error)
    intents = _intents(world)
    at = {row.value.command.id: row.seq for row in world.rows if row.kind == "record_intent"}
    for one in world.effects:
        intent = intents.get(one.command_id)
        if one.role == "fence":
            continue
        if intent is None:
            yield f"{one.process} wrote {one.path} ({one.role} {one.command_id}) without an intent"
        elif at[one.command_id] > one.seq:
            yield f"{one.command_id} was written before its intent"
        elif not intent.command.actor or intent.command.because is None or not intent.command.because.evidence:
            yield f"{one.command_id} has no actor or no evidence"


def known(world: World) -> Iterator[str]:
    """I31: the ledger says of each action whether it was written, as the API server's log does; never too early."""
    written = _by_action(world)
    for one in world.effects:
        if one.role == "promote":
            written[one.command_id] = [*written.get(one.command_id, []), one]
    for command_id, outcomes in _outcomes(world).items():
        effects, last = written.get(command_id, []), outcomes[-1]
        denied = any(one.status is OutcomeStatus.NOT_APPLIED for one in outcomes)
        if effects and denied:
            yield f"{command_id} was written, and the ledger says that it was not: {outcomes[-1].detail}"
        gone = last.reason is Reason.TARGET_GONE
        if not effects and last.status in _WROTE and not gone:
            yield f"{command_id} was never written, and the ledger says {last.status.value}: {last.detail}"
        undone = [one for one in world.effects if one.role == "restore" and one.command_id == command_id]
        if (
            undone
            and undone[-1].operation != "wake"
            and last.status is OutcomeStatus.APPLIED
            and not _is_layout(world, last)
        ):
            yield f"{command_id} was taken back in {undone[-1].operation}, and the ledger says applied"
        if last.status is OutcomeStatus.UNDONE and not undone and not world.interventions:
            yield f"{command_id} was not undone, and the ledger says so"


def _is_layout(world: World, last: Outcome) -> bool:
    """Whether an action gives a node another layout: it then ends by taking back its cordon."""
    return isinstance(_intents(world)[last.command_id].command.change, Repartition)


def paused(world: World) -> Iterator[str]:
    """I26: once a pause is recorded, no decision that begins later has an effect."""
    orders = [(row.seq, row.value.kind) for row in world.rows if row.kind == "record_directive"]
    for one in _applied(world):
        seen = [kind for seq, kind in orders if seq < one.reads.decided]
        if seen and seen[-1] == "pause":
            yield f"{one.command_id} wrote {one.path} after the pause"


def dry(world: World) -> Iterator[str]:
    """I19: a dry run writes nothing, neither to the cluster nor to the ledger."""
    for name in world.dry_writes:
        yield f"a dry run of {name} wrote something"


def converged(world: World) -> Iterator[str]:
    """I24: each target ends as in a run without faults, if nobody else touched the cluster."""
    if world.interventions or world.persons:
        return
    for subject in world.subjects:
        stored = world.cluster.peek(subject.path)
        if subject.kind == "Node" and world.jumped:
            continue  # the time of its action may have been over
        if not subject.done(stored):
            yield f"{subject.name} was never changed"
        number = sum(one.path == subject.path and one.role not in ("fence", "promote") for one in world.effects)
        if number != 1 and subject.kind != "Node":  # an action of a node that takes too long begins again
            yield f"{subject.name} was written {number} times; without faults it is written once (Sieve)"


def moderate(world: World) -> Iterator[str]:
    """Sieve: people's acts add no writes of their own: each write is an action, or takes one back once."""
    for subject in world.subjects:
        ours = [one for one in world.effects if one.path == subject.path]
        actions = {one.command_id for one in ours if one.role == "apply"}
        for command_id in actions:
            back = sum(one.role == "restore" and one.command_id == command_id for one in ours)
            if back > 1:
                yield f"{command_id} on {subject.name} was taken back {back} times"
        others = [one for one in ours if one.role == "other"]
        if others:
            yield f"{subject.name} was written {len(others)} times without gpuwise's mark"


def checked(world: World) -> Iterator[str]:
    """I13: a watched effect counts as applied only if its signal was good, and is restored by itself otherwise."""
    intents = _intents(world)
    restored = {one.command_id for one in world.effects if one.role == "restore"}
    ended = set()
    for row in world.rows:
        intent = intents.get(row.value.command_id) if row.kind == "record_outcome" else None
        if intent is None or intent.watch is None or not intent.watch.levels:
            continue
        outcome, signal = row.value, row.measured.get(intent.command.workload.name)
        if outcome.status is OutcomeStatus.APPLIED and outcome.command_id not in ended:
            ended.add(outcome.command_id)
            if signal != GOOD:
                yield f"{outcome.command_id} counts as applied, and its signal was {signal}"
        failed = outcome.reason in (Reason.CHECK_FAILED, Reason.NO_EVIDENCE)
        if outcome.status is OutcomeStatus.REVERTED and failed and outcome.command_id not in restored:
            yield f"{outcome.command_id} counts as restored, and was not"


def layouts(world: World) -> Iterator[str]:
    """I21: a layout changes on a cordoned node only, with no pod on it and no GPU memory in use."""
    for one in world.effects:
        if one.before is None or "/nodes/" not in one.path or one.after is None:
            continue
        old, new = (image_of(item, {LAYOUT: None}) for item in (one.before, one.after))
        if old == new:
            continue
        if not one.before["spec"].get("unschedulable"):
            yield f"{one.command_id} changed the layout of {one.path}, which was not cordoned"
        memory = one.reads.measured.get(one.path.rpartition("/")[2])
        if memory != GOOD:
            yield f"{one.command_id} changed the layout of {one.path} while its memory was {memory}"


def woken(world: World) -> Iterator[str]:
    """I17: a stopped object is started again from its annotation, at any time and whatever else has failed."""
    yield from world.failed_wakes


def reaped(world: World) -> Iterator[str]:
    """I8: no mark of an action that has ended stays on a node."""
    open_ids = {one.command.id for one in world.ledger.unsettled()}
    for node in world.cluster.store.all(NODES):
        if EXPIRES in (node["metadata"].get("annotations") or {}) and mark_of(node) not in open_ids:
            yield f"node {node['metadata']['name']} still has the mark of {mark_of(node)}"


CHECKS: dict[str, Callable[[World], Iterator[str]]] = {
    "I5 budget": budgets,
    "I6/I7 one leader": earlier_terms,
    "I8 neither lost nor doubled": once,
    "I8 marks": reaped,
    "I9 preconditions": preconditions,
    "I10 protections": protections,
    "I12 undo restores exactly": restored,
    "I13 watched": checked,
    "I14 no oscillation": oscillation,
    "I15 breaker": breaker,
    "I17 wake": woken,
    "I19 dry run": dry,
    "I21 layout": layouts,
    "I24 convergence": converged,
    "I24 mutations per object": moderate,
    "I25 ledger": recorded,
    "I26 kill switch": paused,
    "I31 outcome as seen": known,
}
