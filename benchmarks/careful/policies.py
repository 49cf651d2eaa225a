"""Who decides on a recorded fleet: gpuwise itself, and two rules that others use."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gpuwise.config import Config, ObserveConfig
from gpuwise.model.changes import Change, ScaleTo
from gpuwise.model.inventory import Inventory
from gpuwise.model.recommendation import Blocked, Recommendation
from gpuwise.model.signal import Signal
from gpuwise.model.usage import DAY_S, DeviceSeries, Window
from gpuwise.pipeline import Survey
from gpuwise.sources.kubernetes.inventory import KubernetesInventory, RecordedObjects
from gpuwise.sources.past import AsOf, Past
from gpuwise.sources.recording import RecordedUsage
from gpuwise.wiring import INVENTORY_FILE, looking_back

# gpu-pruner's defaults: 30 minutes without activity, of pods that are 5 minutes older than that. It scales these kinds.
_PRUNER_S = 1_800
_PRUNER_GRACE_S = 300
_PRUNED = frozenset({"Deployment", "StatefulSet"})
_UTIL_BELOW = 0.05


@dataclass(frozen=True, slots=True)
class Recorded:
    """A recording at the time of a decision.

    Attributes:
        folder: of the recording.
        past: of which everything after `now_s` is hidden.
        now_s: time of the decision, epoch seconds.
        look_back_h: hours before it that are read.
        step_s: of the recording.
    """

    folder: Path
    past: Past
    now_s: int
    look_back_h: int
    step_s: int

    @classmethod
    def at(cls, folder: Path, window: Window, now_s: int) -> "Recorded":
        """Open a recording.

        Args:
            folder: as RecordingWriter leaves it, with its inventory.
            window: of the recording.
            now_s: time of the decision.
        """
        everything = KubernetesInventory(RecordedObjects(folder / INVENTORY_FILE)).snapshot(window.end_s)
        past = Past(RecordedUsage(folder), AsOf(everything), everything, window)
        return cls(folder, past, now_s, (now_s - window.start_s) // 3_600, window.step_s)

    @property
    def fleet(self) -> Inventory:
        """The inventory at the time of the decision."""
        return self.past.inventory.snapshot(self.now_s)


@dataclass(frozen=True, slots=True)
class Decided:
    """What a policy says of each workload.

    Attributes:
        changes: by uid, what it recommends, with the saving that it claims a month, 0 where it claims none.
        reasons: by uid, why a workload is not stopped, where the policy says so.
    """

    changes: Mapping[str, tuple[Change, float]]
    reasons: Mapping[str, str]


def gpuwise(recorded: Recorded) -> Decided:
    """The product's own pass over a recording: inventory, scoring, recommendations, plan, with its default settings."""
    observe = ObserveConfig(look_back_h=recorded.look_back_h, step_s=recorded.step_s)
    with looking_back(Config(recording=recorded.folder, observe=observe), recorded.past) as pipeline:
        survey = pipeline.survey(recorded.now_s)
    # The largest saving is first; a workload may also have advice that saves nothing, on its region or its place.
    found = {item.workload.uid: (item.change, item.saving.usd_month) for item in reversed(survey.recommendations)}
    return Decided(found, _reasons(survey))


def _reasons(survey: Survey) -> dict[str, str]:
    """Why a workload is not stopped; where something else is in the plan instead, what."""
    found = {item.workload.uid: f"{item.reason.value}: {item.detail}" for item in survey.blocked if _about_stop(item)}
    instead = {claim: item for item in survey.recommendations for claim in item.claims}
    return found | {uid: f"{item.finding.value} of {item.workload}" for uid, item in instead.items()}


def _about_stop(item: Recommendation | Blocked) -> bool:
    return isinstance(item, Blocked) and item.stage == "idle"


def gpu_pruner(recorded: Recorded) -> Decided:
    """Scale to zero what had no activity for 30 minutes, as github.com/wseaton/gpu-pruner decides by default.

    It asks for GR_ENGINE_ACTIVE and, where that is missing, for GPU_UTIL. The fleet records SM activity, which is at
    most engine activity and zero with it on an idle card. All sampled devices of a workload must agree: the published
    tool scales an owner down for one of them, so this is the kinder reading.
    """
    begin_s = recorded.now_s - _PRUNER_S
    stopped: dict[str, tuple[Change, float]] = {}
    for workload, devices in _usage(recorded, _PRUNER_S):
        old = all((pod.started_s or 0) <= begin_s - _PRUNER_GRACE_S for pod in workload.pods)
        highest = [peak for device in devices if (peak := _activity(device)) is not None]
        if workload.ref.kind in _PRUNED and old and highest and max(highest) == 0.0:
            stopped[workload.ref.uid] = ScaleTo(0), 0.0
    return Decided(stopped, {})


def low_gpu_util(recorded: Recorded) -> Decided:
    """Scale to zero what had a mean GPU utilisation below 5 % over a week, the rule of many dashboards."""
    stopped: dict[str, tuple[Change, float]] = {}
    for workload, devices in _usage(recorded, 7 * DAY_S):
        sampled = [device.samples[Signal.GPU_UTIL] for device in devices if Signal.GPU_UTIL in device.samples]
        values = np.concatenate(sampled) if sampled else np.empty(0)
        if np.isfinite(values).any() and float(np.nanmean(values)) < _UTIL_BELOW:
            stopped[workload.ref.uid] = ScaleTo(0), 0.0
    return Decided(stopped, {})


def _usage(recorded: Recorded, length_s: int):
    fleet = recorded.fleet
    window = Window.ending(recorded.now_s, length_s=length_s, step_s=recorded.step_s)
    running = [workload for workload in fleet.workloads if workload.pods]
    for workload, series in zip(running, recorded.past.usage.read(running, fleet, window), strict=True):
        yield workload, series.devices


def _activity(device: DeviceSeries) -> float | None:
    for signal in (Signal.SM_ACTIVITY, Signal.GPU_UTIL):
        values = device.samples.get(signal)
        if values is not None and np.isfinite(values).any():
            return float(np.nanmax(values))
    return None
