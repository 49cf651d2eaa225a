"""Change a share of the pods first, by the workload's own fields; the others follow when its check has passed.

A StatefulSet has a field for it: `partition`. A Deployment has none. `spec.paused` would stop its rollout only after
gpuwise saw the first pods, would stay if gpuwise never came back, and makes `kubectl rollout undo` refuse. So gpuwise
sets `minReadySeconds` to the length of the check, and lowers maxSurge and maxUnavailable to the size of the share: the
controller itself then waits after the first pods, never has more pods at once than the owner allows, and goes on
without gpuwise. In both cases gpuwise's second write restores these fields.
"""

import math
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from gpuwise.enact.effects import STAGE, Effect
from gpuwise.enact.images import Image, image_of, pointer
from gpuwise.enact.settings import EnactSettings
from gpuwise.model.changes import Change, MoveToSpot, Resize
from gpuwise.model.command import Canary, Intent
from gpuwise.model.ports import Object

_PARTITION = pointer("spec", "updateStrategy", "rollingUpdate", "partition")
_MIN_READY = pointer("spec", "minReadySeconds")
_DEADLINE = pointer("spec", "progressDeadlineSeconds")
_SURGE = pointer("spec", "strategy", "rollingUpdate", "maxSurge")
_UNAVAILABLE = pointer("spec", "strategy", "rollingUpdate", "maxUnavailable")
# The largest int32. Kubernetes reads it as no deadline, and many manifests have it: it was the default of early APIs.
_NO_DEADLINE = 2**31 - 1
_FIELDS = frozenset({STAGE, _PARTITION, _MIN_READY, _DEADLINE, _SURGE, _UNAVAILABLE})


@dataclass(frozen=True, slots=True)
class _Held:
    """The fields that hold a change back from most pods, and the number of pods that get it."""

    values: Image
    pods: int


def with_canary(effect: Effect, item: Object, change: Change, settings: EnactSettings, now_s: int) -> Effect:
    """Return an effect that changes a share of the pods first; one that cannot has a note that says why.

    Args:
        effect: the change of the template.
        item: a Deployment or StatefulSet, as read from the API server.
        change: the change; a move to on-demand is never delayed, because a deadline needs it.
        settings: the share, and the length of its check.
        now_s: epoch seconds.
    """
    if not settings.canary_share or not isinstance(change, Resize | MoveToSpot):
        return effect
    held = _held(item, settings)
    if isinstance(held, str):
        return replace(effect, note=f"no canary: {held}")
    canary = Canary(now_s + settings.canary_s, held.pods)
    until = datetime.fromtimestamp(canary.until_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    values = held.values | {STAGE: f"{held.pods} of {_replicas(item)} pods until {until}, then all"}
    return Effect(effect.pre_image | image_of(item, values), effect.post_image | values, canary)


def _held(item: Object, settings: EnactSettings) -> _Held | str:
    replicas = _replicas(item)
    pods = math.ceil(settings.canary_share * replicas)
    if not settings.watch_s:
        return "enact.watch.seconds is 0, so no pod is checked"
    if pods >= replicas:
        return f"its replicas are {replicas}"
    return _of_stateful_set(item, pods) if item["kind"] == "StatefulSet" else _of_deployment(item, pods, settings)


def _replicas(item: Object) -> int:
    return int(item["spec"].get("replicas", 1))


def final(intent: Intent) -> Image:
    """Return the fields of an effect when all pods have the change: with the owner's own strategy again."""
    if intent.watch is None or intent.watch.canary is None:
        return intent.post_image
    held = {at for at in _FIELDS if at in intent.post_image or at in intent.pre_image}
    kept = {at: value for at, value in intent.post_image.items() if at not in held}
    # The annotation of an earlier action, which somebody reverted, says nothing any more.
    return kept | {at: value for at, value in intent.pre_image.items() if at in held and at != STAGE}


def stage(intent: Intent, actual: Image) -> Image:
    """Return the fields that an effect has at its present stage: the final ones if these are in place."""
    whole = final(intent)
    return whole if actual == whole else intent.post_image


def _of_stateful_set(item: Object, pods: int) -> _Held | str:
    if _PARTITION not in image_of(item, {_PARTITION: None}):
        return "its updateStrategy has no partition"
    return _Held({_PARTITION: _replicas(item) - pods}, pods)


def _of_deployment(item: Object, pods: int, settings: EnactSettings) -> _Held | str:
    spec, replicas = item["spec"], _replicas(item)
    bounds = (spec.get("strategy") or {}).get("rollingUpdate") or {}
    if "maxSurge" not in bounds or "maxUnavailable" not in bounds:
        return "its strategy replaces all pods at once"
    unavailable = min(pods, _number(bounds["maxUnavailable"], replicas, up=False))
    surge = min(pods - unavailable, _number(bounds["maxSurge"], replicas, up=True))
    # Percentages may both yield 0: Kubernetes then takes one pod away. The API server rejects the number 0 for both.
    unavailable = unavailable or int(not surge)
    values = {
        _MIN_READY: max(settings.canary_s, int(spec.get("minReadySeconds", 0))),
        # It must be longer than minReadySeconds, and counts the time in which no pod becomes available.
        _DEADLINE: min(int(spec.get("progressDeadlineSeconds", 600)) + settings.canary_s, _NO_DEADLINE),
        _SURGE: surge,
        _UNAVAILABLE: unavailable,
    }
    return _Held(values, surge + unavailable)


def _number(bound: int | str, replicas: int, *, up: bool) -> int:
    """A number of pods, or a percentage of them: Kubernetes rounds maxSurge up and maxUnavailable down."""
    if not isinstance(bound, str):
        return int(bound)
    hundredths = replicas * int(bound.removesuffix("%"))
    return -(-hundredths // 100) if up else hundredths // 100
