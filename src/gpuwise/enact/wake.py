"""Start a stopped object again from its own annotation: without ledger, Prometheus, Ray or a leader (I17).

A stop writes the annotation `gpuwise.dev/wake` in the same patch. Its value is a merge patch, so that `kubectl patch`
can do the same as `gpuwise wake`.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from gpuwise.enact.images import Image, parts_of, pointer
from gpuwise.enact.refusal import Refusal
from gpuwise.enact.scale import is_stopped
from gpuwise.enact.settings import EnactSettings
from gpuwise.enact.target import Target, read_object, through_queue
from gpuwise.model.command import Intent, OutcomeStatus
from gpuwise.model.errors import Conflict, InputError
from gpuwise.model.kinds import KINDS, Kind
from gpuwise.model.labels import ACTION_ID, WAKE, WAKE_AT, WOKEN
from gpuwise.model.ports import ClusterWriter, Ledger, Object

_MARKS = frozenset(pointer("metadata", "annotations", name) for name in (ACTION_ID, WAKE, WAKE_AT, WOKEN))
WOKEN_MARK = pointer("metadata", "annotations", WOKEN)
_MERGE_PATCH = "application/merge-patch+json"
_ATTEMPTS = 5
_FORECAST_S = 15 * 86_400


@dataclass(frozen=True, slots=True)
class Woken:
    """The result of waking an object.

    Attributes:
        changed: whether it was written; it was not stopped otherwise.
        detail: what was restored, for a person.
        command_id: the action that had stopped it, "" if the object does not name one.
    """

    changed: bool
    detail: str
    command_id: str = ""


def wake(
    cluster: ClusterWriter, namespace: str, kind: str, name: str, *, command_id: str = "", dry_run: bool = False
) -> Woken:
    """Start a stopped object again. Repeating it changes nothing.

    Args:
        cluster: client with the right to write.
        namespace: of the object.
        kind: of the object, in any case.
        name: of the object.
        command_id: wake it only if this action stopped it; "" for any.
        dry_run: only return what would be written.

    Raises:
        InputError: the object does not exist, or was stopped by somebody else; with the field that starts it.
        ClusterError: it could not be read or written.
    """
    row = next((one for one in KINDS.values() if one.name.lower() == kind.lower() and one.stop), None)
    if row is None:
        known = ", ".join(one.name for one in KINDS.values() if one.stop)
        raise InputError(f"gpuwise cannot wake a {kind}", hint=f"it wakes {known}")
    for attempt in range(_ATTEMPTS):
        target = _read(cluster, row, namespace, name)
        annotations = target.item["metadata"].get("annotations") or {}
        if WAKE not in annotations or (command_id and annotations.get(ACTION_ID) != command_id):
            return _awake(row, target)
        patch = _instructions(annotations[WAKE], target)
        if dry_run:
            return Woken(False, f"dry run, nothing was changed: {annotations[WAKE]} would start it")
        try:
            cluster.patch(target.path, _with_preconditions(patch, target.item), content_type=_MERGE_PATCH)
        except Conflict:  # a controller wrote its status between read and write
            if attempt + 1 == _ATTEMPTS:
                raise
            continue
        return Woken(True, annotations[WAKE], annotations.get(ACTION_ID, ""))
    raise AssertionError("unreachable")


def _read(cluster: ClusterWriter, kind: Kind, namespace: str, name: str) -> Target:
    found = read_object(cluster, kind, namespace, name)
    target = found if isinstance(found, Refusal) else through_queue(cluster, found)
    if isinstance(target, Refusal):
        raise InputError(target.detail, hint=f"check it with `kubectl -n {namespace} get {kind.resource}`")
    return target


def _awake(kind: Kind, target: Target) -> Woken:
    if not is_stopped(target.kind, target.item):
        return Woken(False, "it is not stopped")
    fields = ", ".join(".".join(parts_of(at)) for at in target.kind.stop)
    problem = f"gpuwise did not stop this {kind.name}: it has no annotation {WAKE}"
    raise InputError(problem, hint=f"who stopped it set {fields}: set it back yourself")


def _instructions(text: str, target: Target) -> Object:
    """Parse the annotation. A person who may write annotations must not make gpuwise write other fields."""
    try:
        patch = json.loads(text)
        written = dict(_leaves(patch, ()))
    except (ValueError, AttributeError) as error:
        raise InputError(f"the annotation {WAKE} is not a JSON object", hint="start the object yourself") from error
    for at, value in written.items():
        known = at in target.kind.stop or at in _MARKS
        inner = len(parts_of(at)) > 1  # a whole spec or metadata is never absent
        parent = value is None and inner and any(field.startswith(f"{at}/") for field in target.kind.stop)
        if not known and not parent:
            problem = f"the annotation {WAKE} would write {'.'.join(parts_of(at))}, which a stop does not change"
            raise InputError(problem, hint="somebody changed the annotation: start the object yourself")
    return dict(patch)


def _leaves(patch: Mapping[str, Any], place: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    for key, value in patch.items():
        if isinstance(value, dict):
            yield from _leaves(value, (*place, key))
        else:
            yield pointer(*place, key), value


def _with_preconditions(patch: Object, item: Object) -> Object:
    metadata = item["metadata"]
    kept = {"uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"]}
    return patch | {"metadata": patch.get("metadata", {}) | kept}


def instructions(before: Image, changed: Mapping[str, Any], marks: Iterable[str], command_id: str) -> str:
    """Return the merge patch, as JSON, that restores the changed fields and replaces the marks of the stop by its own.

    The mark that is left shows that the stop took place, if its outcome is not known yet.

    Args:
        before: current values of the fields; an absent field is removed again.
        changed: the fields that the stop sets.
        marks: gpuwise's own annotations of the stop.
        command_id: id of the stop.
    """
    patch: Object = {}
    restored = {at: before.get(at) for at in changed}
    for at, value in (restored | dict.fromkeys(marks) | {WOKEN_MARK: command_id}).items():
        *parents, last = parts_of(at)
        place = patch
        for part in parents:
            place = place.setdefault(part, {})
        place[last] = value
    return json.dumps(patch, separators=(",", ":"), sort_keys=True)


def due(ledger: Ledger, settings: EnactSettings, now_s: int) -> list[Intent]:
    """Return the stops whose objects are to be started again now, ahead of their forecast next use.

    Args:
        ledger: of the stops; forecasts reach two weeks.
        settings: whether objects are started ahead at all.
        now_s: epoch seconds.
    """
    if settings.wake_ahead_s is None:
        return []
    at = pointer("metadata", "annotations", WAKE_AT)
    stops = [one for one in ledger.intents(since_s=now_s - _FORECAST_S) if at in one.post_image]
    return [
        one
        for one in stops
        if datetime.fromisoformat(one.post_image[at]).timestamp() <= now_s
        and (last := ledger.outcome(one.command.id)) is not None
        and last.status is OutcomeStatus.APPLIED
    ]
