"""Workloads for tests of usage sources."""

from gpuwise.model.gpu import gpu_type
from gpuwise.model.inventory import GpuRequest, Inventory, Node, Pod, Workload, WorkloadClass, WorkloadRef


def pod(name: str, *, node: str | None = "node-a", started_s: int | None = None) -> Pod:
    return Pod(name, f"uid-{name}", node, "Running" if node else "Pending", ready=True, started_s=started_s)


def workload(*pods: Pod | str, namespace: str = "research", name: str = "trainer") -> Workload:
    return Workload(
        ref=WorkloadRef(namespace, "Deployment", name, f"uid-{name}"),
        workload_class=WorkloadClass.ENDPOINT,
        replicas=len(pods),
        request=GpuRequest("nvidia.com/gpu", 1),
        labels={},
        annotations={},
        pods=tuple(pod(one) if isinstance(one, str) else one for one in pods),
        created_s=0,
    )


def inventory(*workloads: Workload) -> Inventory:
    product = "NVIDIA-L4"
    node = Node("node-a", gpu_type(product), product, 8, {}, None, None)
    return Inventory(taken_s=0, nodes={"node-a": node}, workloads=workloads, namespaces={})
