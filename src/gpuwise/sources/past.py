"""A recording or a trace, as a past whose fleet can be read as of any instant in it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from gpuwise.model.errors import InputError
from gpuwise.model.gpu import GPU_TYPES, named
from gpuwise.model.hours import HOUR_S
from gpuwise.model.inventory import Inventory
from gpuwise.model.ports import InventorySource, UsageSource
from gpuwise.model.usage import Window
from gpuwise.sources.bare_pods import BarePods, PodSpan, pod_spans
from gpuwise.sources.kubernetes.inventory import KubernetesInventory, RecordedObjects
from gpuwise.sources.recording import RecordedUsage
from gpuwise.sources.traces.columns import columns_of
from gpuwise.sources.traces.source import TracedDevice, TraceUsage, read_trace

_INVENTORY = "inventory.json"
_SUFFIXES = (".parquet", ".csv", ".csv.gz")


@dataclass(frozen=True, slots=True)
class Past:
    """A recorded past.

    Attributes:
        usage: usage of the pods.
        inventory: the fleet as of a given instant.
        everything: all workloads that ever existed, as far as the recording contains them.
        window: from the first sample to the last, in whole steps.
    """

    usage: UsageSource
    inventory: InventorySource
    everything: Inventory
    window: Window


@dataclass(frozen=True, slots=True)
class AsOf:
    """An `InventorySource` of the fleet at the end of a recording, without the workloads that were created later.

    A workload has the pods and replicas that it had at the end. A workload that was deleted before is unknown.

    Attributes:
        recorded: the fleet at the end of the recording.
    """

    recorded: Inventory

    def snapshot(self, now_s: int) -> Inventory:
        """Return the workloads that had been created by that instant."""
        then = tuple(workload for workload in self.recorded.workloads if workload.created_s <= now_s)
        return replace(self.recorded, taken_s=now_s, workloads=then)


def open_past(source: Path, *, mappings: Iterable[str], gpu_type: str | None, kind: str, step_s: int) -> Past:
    """Open the folder of a recording, or the file of a trace.

    Args:
        source: the folder or the file.
        mappings: for a file, `NAME=COLUMN[:UNIT]` for each column that has another name than in the schema.
        gpu_type: canonical GPU type of the cards, if the trace has none.
        kind: kind that each pod is treated as, if no inventory was recorded.
        step_s: step of the window, seconds; it must divide an hour.

    Raises:
        InputError: it is neither, or does not match the schema; the error names the file, the column and the hint.
    """
    if gpu_type is not None and named(gpu_type) is None:
        known = ", ".join(card.name for card in GPU_TYPES)
        raise InputError(f"--gpu-type is {gpu_type!r}, which is not a known GPU type", hint=f"use one of {known}")
    if HOUR_S % step_s:
        raise InputError(f"--step is {step_s}, which does not divide an hour", hint="use 60 or 300")
    mappings = tuple(mappings)
    if source.is_dir():
        if mappings or gpu_type:
            raise InputError(
                f"--column and --gpu-type do not apply to {source}, which is a recording",
                hint="omit them, because the columns have the schema's names, or give a file instead of a folder",
            )
        return _of_folder(source, kind, step_s)
    if not source.is_file() or not source.name.endswith(_SUFFIXES):
        raise InputError(
            f"{source} {'is not a trace' if source.is_file() else 'does not exist'}",
            hint="give the folder of a recording, or a file that ends in .csv, .csv.gz or .parquet",
        )
    devices = read_trace(source, columns_of(mappings), gpu_type=gpu_type)
    pods = BarePods(pod_spans(devices), kind, step_s)
    return _of_pods(TraceUsage(source.name, _by_pod(devices)), pods)


def _by_pod(devices: Iterable[TracedDevice]) -> Mapping[tuple[str, str], tuple[TracedDevice, ...]]:
    found: dict[tuple[str, str], tuple[TracedDevice, ...]] = {}
    for device in devices:
        key = (device.namespace, device.pod)
        found[key] = (*found.get(key, ()), device)
    return found


def _of_folder(folder: Path, kind: str, step_s: int) -> Past:
    files = sorted(path for path in folder.glob("usage/*/*") if path.name.endswith(_SUFFIXES))
    if not files:
        raise InputError(
            f"{folder} is not a recording: it has no file usage/NAMESPACE/POD.parquet or .csv",
            hint="give the folder that contains 'usage', or a file",
        )
    columns = columns_of(())
    pods: list[PodSpan] = []
    for path in files:
        # The path identifies the pod, as it does when usage is read.
        devices = read_trace(path, columns, measured=False)
        name = path.name.removesuffix(".gz").removesuffix(".csv").removesuffix(".parquet")
        pods += pod_spans(replace(device, namespace=path.parent.name, pod=name) for device in devices)
    past = _of_pods(RecordedUsage(folder), BarePods(pods, kind, step_s))
    if not (folder / _INVENTORY).exists():
        return past
    recorded = KubernetesInventory(RecordedObjects(folder / _INVENTORY)).snapshot(past.window.end_s)
    return replace(past, inventory=AsOf(recorded), everything=recorded)


def _of_pods(usage: UsageSource, pods: BarePods) -> Past:
    step_s = pods.step_s
    start_s = min(pod.first_s for pod in pods.pods) // step_s * step_s
    end_s = (max(pod.last_s for pod in pods.pods) // step_s + 1) * step_s
    return Past(usage, pods, pods.everything(end_s), Window(start_s, end_s, step_s))
