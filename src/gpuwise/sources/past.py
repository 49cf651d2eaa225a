"""A recording or a trace as a past that can be looked at as of any instant in it."""

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
    """What was recorded.

    Attributes:
        usage: of the pods.
        inventory: the fleet as of the instant it is asked for.
        everything: all workloads that ever were, as far as the recording tells.
        window: from the first sample to the last, in whole steps.
    """

    usage: UsageSource
    inventory: InventorySource
    everything: Inventory
    window: Window


@dataclass(frozen=True, slots=True)
class AsOf:
    """An `InventorySource` over the fleet as it stood when the recording ended, less the workloads that came later.

    A workload has the pods and replicas that it had at the end; one that was deleted before then is not known.

    Attributes:
        recorded: the fleet at the end.
    """

    recorded: Inventory

    def snapshot(self, now_s: int) -> Inventory:
        """The workloads that had been created by that instant."""
        then = tuple(workload for workload in self.recorded.workloads if workload.created_s <= now_s)
        return replace(self.recorded, taken_s=now_s, workloads=then)


def open_past(source: Path, *, mappings: Iterable[str], gpu_type: str | None, kind: str, step_s: int) -> Past:
    """Open a folder of a recording, or a file of a trace.

    Args:
        source: the folder or the file.
        mappings: for a file, `NAME=COLUMN[:UNIT]` for each column that is not named as the schema names it.
        gpu_type: canonical name of the cards where the trace names none.
        kind: what a pod is taken as where no inventory is recorded.
        step_s: length of a step of the window; it divides an hour.

    Raises:
        InputError: it is neither, or not as the schema asks; names the file, the column and the hint.
    """
    if gpu_type is not None and named(gpu_type) is None:
        known = ", ".join(card.name for card in GPU_TYPES)
        raise InputError(f"--gpu-type is {gpu_type!r}", hint=f"write one of {known}")
    if HOUR_S % step_s:
        raise InputError(f"--step is {step_s}: it does not divide an hour", hint="write 60 or 300")
    mappings = tuple(mappings)
    if source.is_dir():
        if mappings or gpu_type:
            raise InputError(
                f"{source} is a recording, whose columns have the schema's names",
                hint="leave --column and --gpu-type out, or name a file",
            )
        return _of_folder(source, kind, step_s)
    if not source.is_file() or not source.name.endswith(_SUFFIXES):
        raise InputError(
            f"{source} is {'no trace' if source.is_file() else 'not there'}",
            hint="name a folder of a recording, or a file that ends in .csv, .csv.gz or .parquet",
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
            f"{folder} holds no recording: no file usage/NAMESPACE/POD.parquet or .csv",
            hint="name the folder above 'usage', or a file",
        )
    columns = columns_of(())
    pods: list[PodSpan] = []
    for path in files:
        # The path says whose it is, as it does when usage is read.
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
