"""Plays a case of ../shared/cases/acting: its cluster on the API under test, and 15 days of usage of its pods.

As the cases' own player: pods whose name starts with "busy" are busy, of "one" only the first GPU works, all others
idle.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from tests.e2e.fleets import NOW_S, STEP_S, listed, options_of
from tests.given_cases import given_case
from tests.series import BUSY_VALUES, IDLE_VALUES

from gpuwise.emulate.objects import node
from gpuwise.model.usage import DeviceSeries, RecordedPod, Window
from gpuwise.sources.recording import RecordingWriter

Object = dict[str, Any]

DAYS = 15
WINDOW = Window(NOW_S - DAYS * 86_400, NOW_S, STEP_S)
SLICED = ("nvidia.com/gpumem", "nvidia.com/gpumem-percentage", "nvidia.com/gpucores")


def objects_of(name: str) -> list[Object]:
    """The objects of a case; a Node without status is completed."""
    text = (given_case("acting", name) / "cluster.yaml").read_text()
    return [_completed(one) for one in yaml.safe_load_all(text) if one]


def settings_of(name: str) -> dict[str, str]:
    """The environment variables that a case sets."""
    file = given_case("acting", name) / "env"
    lines = file.read_text().split() if file.exists() else []
    return dict(line.split("=", 1) for line in lines)


def _completed(one: Object) -> Object:
    if one.get("kind") != "Node" or "status" in one:
        return one
    metadata, spec = one["metadata"], one.get("spec") or {}
    made = node(metadata["name"], gpus=one.get("gpus", 8), labels=metadata.get("labels"), taints=spec.get("taints"))
    made["metadata"] |= {key: value for key, value in metadata.items() if key != "labels"}
    made["spec"] |= spec
    return made


def devices_of(pod: Object) -> int:
    """How many devices a pod uses, by whatever way it asks for them."""
    limits = [(one.get("resources") or {}).get("limits") or {} for one in pod["spec"]["containers"]]
    whole = sum(int(one.get("nvidia.com/gpu", 0)) for one in limits)
    sliced = any(name in one for one in limits for name in SLICED)
    return whole or int(bool(pod["spec"].get("resourceClaims") or sliced))


def card(uuid: str, where: str, *, busy: bool, pod: str = "") -> DeviceSeries:
    """A device; without a pod, nothing in Kubernetes is known to use it."""
    values = BUSY_VALUES if busy else IDLE_VALUES
    samples = {signal: np.full(WINDOW.steps, value) for signal, value in values.items()}
    return DeviceSeries(pod, uuid, 1.0, "A100-80GB", where, samples)


@contextmanager
def played(
    start_cluster: Callable[..., Any], folder: Path, objects: Iterable[Object], *, rest: Iterable[DeviceSeries] = ()
) -> Iterator[tuple[Any, tuple[object, ...]]]:
    """The cluster of a case and the options that read it.

    Args:
        start_cluster: the fixture.
        folder: for the recording and the kubeconfig.
        objects: of the cluster.
        rest: devices that are recorded without a pod.
    """
    folder.mkdir(exist_ok=True)
    with start_cluster(list(objects), clock=lambda: float(WINDOW.start_s)) as cluster:
        writer, number, without_pod = RecordingWriter(folder / "recording"), 0, tuple(rest)
        for pod in listed(cluster, "/api/v1/pods"):
            name, where = pod["metadata"]["name"], pod["spec"].get("nodeName", "")
            devices = []
            for at in range(devices_of(pod) if where else 0):
                busy = name.startswith("busy") or (name.startswith("one") and at == 0)
                if f"GPU-{number}" not in {one.device_uuid for one in without_pod}:
                    devices.append(card(f"GPU-{number}", where, busy=busy, pod=name))
                number += 1
            if devices:
                writer.append(RecordedPod(pod["metadata"]["namespace"], WINDOW, tuple(devices), None))
        if without_pod:
            writer.append(RecordedPod("", WINDOW, without_pod, None))
        yield cluster, options_of(folder / "recording", cluster.write_kubeconfig(folder / "kubeconfig"), DAYS)


def claimable(namespace: str, template: str, *, cards: int = 8) -> list[Object]:
    """What the NVIDIA driver for dynamic resource allocation adds to a cluster: a class, a slice and a claim template.

    Args:
        namespace: of the template.
        template: its name.
        cards: number of whole cards on the node n1.
    """
    version = "resource.k8s.io/v1"
    product = {"type": {"string": "gpu"}, "productName": {"string": "NVIDIA A100-SXM4-80GB"}}
    devices = [{"name": f"gpu-{at}", "attributes": product | {"uuid": {"string": f"GPU-{at}"}}} for at in range(cards)]
    pool = {"name": "n1", "generation": 1, "resourceSliceCount": 1}
    exactly = {"deviceClassName": "gpu.nvidia.com"}
    return [
        {
            "apiVersion": version,
            "kind": "DeviceClass",
            "metadata": {"name": "gpu.nvidia.com"},
            "spec": {"selectors": [{"cel": {"expression": "device.driver == 'gpu.nvidia.com'"}}]},
        },
        {
            "apiVersion": version,
            "kind": "ResourceSlice",
            "metadata": {"name": "n1-gpu.nvidia.com"},
            "spec": {"driver": "gpu.nvidia.com", "nodeName": "n1", "pool": pool, "devices": devices},
        },
        {
            "apiVersion": version,
            "kind": "ResourceClaimTemplate",
            "metadata": {"name": template, "namespace": namespace},
            "spec": {"spec": {"devices": {"requests": [{"name": "gpu", "exactly": exactly}]}}},
        },
    ]


def bound_claim(namespace: str, name: str) -> Object:
    """A volume claim that is bound: the emulator has no provisioner."""
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "500Gi"}}, "volumeName": "pv-1"}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    }
