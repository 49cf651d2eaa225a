"""The simulated fleet as Kubernetes objects: the state that `kubectl get -o json` shows at the end of the recording."""

from collections.abc import Iterator, Mapping, Sequence

from gpuwise.model.labels import GPU_COUNT_LABEL, GPU_PRODUCT_LABEL, GPU_RESOURCE, REGION_LABEL
from gpuwise.model.usage import DAY_S, Window
from gpuwise.simulate.catalogue import NAMESPACES
from gpuwise.simulate.controllers import API_VERSION, Object, controller_objects, selector, stamp, uid_of
from gpuwise.simulate.placement import Machine
from gpuwise.simulate.plan import WorkloadPlan
from gpuwise.simulate.settings import GPUS_PER_NODE

_NODE_AGE_S = 120 * DAY_S


def kubernetes_objects(
    machines: Sequence[Machine],
    workloads: Sequence[WorkloadPlan],
    window: Window,
    namespaces: Mapping[str, Mapping[str, str]] = NAMESPACES,
) -> list[Object]:
    """All objects of the fleet at the end of the window.

    Args:
        machines: its nodes.
        workloads: the workloads on them.
        window: the recorded time.
        namespaces: labels by name.
    """
    objects = [_node(machine, window) for machine in machines]
    objects += [_namespace(name, labels, window) for name, labels in namespaces.items()]
    for plan in workloads:
        objects += [*controller_objects(plan), *_guards(plan)]
    return objects


def _node(machine: Machine, window: Window) -> Object:
    resources: dict[str, str] = {}
    for slot in machine.slots:
        resources[slot.resource] = str(int(resources.get(slot.resource, "0")) + 1)
    resources |= {"cpu": "192", "memory": "2048Gi", "pods": "110"}
    labels = {
        "kubernetes.io/hostname": machine.name,
        "kubernetes.io/arch": "amd64",
        "node.kubernetes.io/instance-type": machine.pool.instance_type,
        REGION_LABEL: machine.region,
        "topology.kubernetes.io/zone": f"{machine.region}a",
        "karpenter.sh/capacity-type": machine.capacity_type.value,
        GPU_PRODUCT_LABEL: machine.pool.product,
        GPU_COUNT_LABEL: str(GPUS_PER_NODE),
        "nvidia.com/gpu.memory": str(machine.gpu.memory_bytes >> 20),
        "nvidia.com/gpu.present": "true",
        "nvidia.com/mig.capable": str(bool(machine.gpu.mig_profiles)).lower(),
    }
    if machine.mig:
        labels["nvidia.com/mig.strategy"] = "mixed"
        labels |= {f"{name}.count": count for name, count in resources.items() if "/mig-" in name}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": machine.name,
            "uid": uid_of("node", machine.name),
            "creationTimestamp": stamp(window.start_s - _NODE_AGE_S),
            "labels": labels,
        },
        "spec": {"taints": [{"key": GPU_RESOURCE, "value": "present", "effect": "NoSchedule"}]},
        "status": {
            "capacity": resources,
            "allocatable": dict(resources),
            "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady"}],
        },
    }


def _namespace(name: str, labels: Mapping[str, str], window: Window) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {
            "name": name,
            "uid": uid_of("namespace", name),
            "creationTimestamp": stamp(window.start_s - _NODE_AGE_S),
            "labels": {"kubernetes.io/metadata.name": name, **labels},
        },
        "spec": {"finalizers": ["kubernetes"]},
        "status": {"phase": "Active"},
    }


def system_namespace(uid: str, window: Window) -> Object:
    """The namespace kube-system, whose uid identifies a cluster."""
    made = _namespace("kube-system", {}, window)
    made["metadata"]["uid"] = uid
    return made


def _guards(plan: WorkloadPlan) -> Iterator[Object]:
    """Disruption budget and autoscaler, if the workload has them."""
    meta = {"name": plan.name, "namespace": plan.namespace, "creationTimestamp": stamp(plan.created_s)}
    if plan.marks.disruption_budget is not None:
        healthy = sum(bool(pod.slots) for pod in plan.live)
        allowed = min(plan.marks.disruption_budget, healthy)
        yield {
            "apiVersion": "policy/v1",
            "kind": "PodDisruptionBudget",
            "metadata": {**meta, "uid": uid_of(plan.uid, "pdb"), "generation": 1},
            "spec": {"maxUnavailable": plan.marks.disruption_budget, "selector": {"matchLabels": selector(plan)}},
            "status": {
                "observedGeneration": 1,
                "disruptionsAllowed": allowed,
                "currentHealthy": healthy,
                "desiredHealthy": healthy - allowed,
                "expectedPods": plan.archetype.pods,
            },
        }
    if plan.marks.autoscaled:
        target = {"apiVersion": API_VERSION[plan.archetype.kind], "kind": plan.archetype.kind, "name": plan.name}
        yield {
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": {**meta, "uid": uid_of(plan.uid, "hpa")},
            "spec": {
                "scaleTargetRef": target,
                "minReplicas": 1,
                "maxReplicas": 2 * plan.archetype.pods,
                "metrics": [
                    {
                        "type": "Resource",
                        "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 70}},
                    }
                ],
            },
            "status": {"currentReplicas": plan.archetype.pods, "desiredReplicas": plan.archetype.pods},
        }
