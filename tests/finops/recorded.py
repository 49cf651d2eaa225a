"""A small fleet as a recording on disk, whose bill can be computed on paper."""

import csv
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gpuwise import weekly
from gpuwise.memory.ledger import SqliteLedger
from gpuwise.memory.profile_file import ProfileFile
from gpuwise.model.ports import UsageSource
from gpuwise.model.report import WeeklyReport
from gpuwise.model.usage import Window
from gpuwise.pipeline import LoopSettings, Pipeline, Survey
from gpuwise.schedule.in_process import InProcess
from gpuwise.sources.kubernetes.inventory import KubernetesInventory, RecordedObjects
from gpuwise.sources.prices import read_prices
from gpuwise.sources.recording import RecordedUsage

MONDAY = 1_794_787_200  # 2026-11-16
HOUR, DAY = 3_600, 86_400
WEEK_H = 168
PRICES = "gpu_type,capacity_type,usd_per_gpu_h\nA100-80GB,on-demand,4\nA100-80GB,spot,1\nT4,on-demand,1\n"
PRODUCTS = {"A100-80GB": "NVIDIA-A100-SXM4-80GB", "H100-80GB": "NVIDIA-H100-80GB-HBM3", "T4": "Tesla-T4"}
BUSY: Mapping[str, float] = {"sm_activity_ratio": 0.8, "gpu_util_ratio": 0.9, "power_watts": 330.0}
IDLE: Mapping[str, float] = {"sm_activity_ratio": 0.0, "gpu_util_ratio": 0.0, "power_watts": 60.0}


def at(hours: float) -> int:
    """Epoch seconds of an hour of the week."""
    return MONDAY + round(hours * HOUR)


def iso(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass
class Fleet:
    """Objects and usage, written to a folder."""

    folder: Path
    objects: list[dict[str, Any]] = field(default_factory=list)
    step_s: int = 300

    def node(
        self, name: str, *, gpus: int = 1, card: str = "A100-80GB", capacity: str | None = "on-demand",
        created_h: float = -2_000, mig: Mapping[str, int] | None = None, shared_by: int = 1, whole: int = 0,
    ) -> None:  # fmt: skip
        labels = {"nvidia.com/gpu.product": PRODUCTS[card], "nvidia.com/gpu.count": str(gpus)}
        if capacity is not None:
            labels["karpenter.sh/capacity-type"] = capacity
        if shared_by > 1:
            labels["nvidia.com/gpu.replicas"] = str(shared_by)
        free = {"nvidia.com/gpu": str(whole) if mig else str(gpus * shared_by)}
        free |= {f"nvidia.com/mig-{profile}": str(count) for profile, count in (mig or {}).items()}
        self._add("Node", "v1", name, created_h, status={"allocatable": free}, labels=labels)

    def namespace(self, name: str, *, team: str) -> None:
        self._add("Namespace", "v1", name, -2_000, labels={"team": team})

    def deployment(self, name: str, *, namespace: str = "red", resource: str = "nvidia.com/gpu") -> None:
        self._add(
            "Deployment", "apps/v1", name, -1_000, namespace=namespace,
            spec={"replicas": 1, "selector": {"matchLabels": {"app": name}}, "template": self._template(resource)},
        )  # fmt: skip

    def pod(  # noqa: PLR0913 - one argument for each fact of the pod
        self, name: str, node: str, *, hours: tuple[float, float] | None, owner: str | None = None,
        namespace: str = "red", device: str = "GPU-1", card: str = "A100-80GB", share: float = 1.0,
        values: Mapping[str, float] = BUSY, started_h: float | None = None, resource: str = "nvidia.com/gpu",
        phase: str = "Running",
    ) -> None:  # fmt: skip
        """Add a pod with samples in some hours of the week; with an owner it exists now."""
        if owner is not None:
            start = started_h if started_h is not None else (hours or (0.0, 0.0))[0]
            self._add(
                "Pod", "v1", name, start, namespace=namespace,
                spec=self._template(resource)["spec"] | {"nodeName": node},
                status={"phase": phase, "startTime": iso(at(start))},
                owners=[{"kind": "Deployment", "name": owner, "uid": f"uid-{owner}", "apiVersion": "apps/v1",
                         "controller": True}],
            )  # fmt: skip
        if hours is not None:
            self._samples(namespace, name, node, hours, [device, card, str(share)], values)

    def report(
        self, *, hours: float = WEEK_H, week: bool = False, prices: str = PRICES,
        ledger: Path | str = ":memory:", run: bool = False, usage: UsageSource | None = None,
        select: Callable[[Survey], Survey] = lambda whole: whole,
    ) -> WeeklyReport:  # fmt: skip
        """The report of the first hours of the week, or of a whole week, as `gpuwise scan` and `report` make it."""
        (self.folder / "usage").mkdir(parents=True, exist_ok=True)
        (self.folder / "inventory.json").write_text(json.dumps({"kind": "List", "items": self.objects}))
        (self.folder / "prices.csv").write_text(prices)
        with SqliteLedger(Path(ledger)) as records:
            loop = Pipeline(
                KubernetesInventory(RecordedObjects(self.folder / "inventory.json")),
                usage or RecordedUsage(self.folder),
                read_prices(self.folder / "prices.csv"),
                InProcess(),
                ProfileFile,
                records,
                LoopSettings("test", int(hours), self.step_s, 100),
            )
            now_s = at(hours)
            if week:
                window = Window(at(0), now_s, self.step_s)
                return weekly.read_week(loop, window, week="2026-W47", now_s=now_s).report
            survey = loop.survey(now_s)
            report = weekly.summary(loop, select(survey), now_s=now_s)
            if run:
                loop.record(survey, loop.decide(survey, now_s), now_s)
            return report

    def _samples(
        self, space: str, pod: str, node: str, hours: tuple[float, float], device: Sequence[str],
        values: Mapping[str, float],
    ) -> None:  # fmt: skip
        path = self.folder / "usage" / space / f"{pod}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        uuid, card, share = device
        with path.open("a", newline="") as file:
            writer = csv.writer(file)
            if not file.tell():
                writer.writerow(["t_s", "namespace", "pod", "device_uuid", "gpu_type", "gpu_fraction", "node", *values])
            for second in range(at(hours[0]), at(hours[1]), self.step_s):
                writer.writerow([second, space, pod, uuid, card, share, node, *values.values()])

    def _template(self, resource: str) -> dict[str, Any]:
        limits = {resource: "1"}
        return {"metadata": {"labels": {}}, "spec": {"containers": [{"name": "c", "resources": {"limits": limits}}]}}

    def _add(
        self, kind: str, version: str, name: str, created_h: float, *, namespace: str | None = None,
        labels: Mapping[str, str] | None = None, owners: Sequence[Mapping[str, Any]] = (), **parts: Any,
    ) -> None:  # fmt: skip
        metadata = {
            "name": name, "uid": f"uid-{name}", "labels": dict(labels or {}), "creationTimestamp": iso(at(created_h)),
            "ownerReferences": list(owners),
        }  # fmt: skip
        if namespace is not None:
            metadata["namespace"] = namespace
        self.objects.append({"kind": kind, "apiVersion": version, "metadata": metadata, **parts})
