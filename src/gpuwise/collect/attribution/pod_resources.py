"""Device allocations from the kubelet's pod-resources socket (gRPC v1, List and Get)."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

from gpuwise.collect.attribution.allocation import Allocation, Container
from gpuwise.collect.attribution.messages import GET_METHOD, LIST_METHOD, MESSAGES
from gpuwise.model.errors import SourceError

_TIMEOUT_S = 5.0
# The kubelet's own limit (podresources/constants.go, DefaultPodResourcesMaxSize); gRPC's default is 4 MB.
_MAX_BYTES = 16 * 2**20
# A kubelet may not have Get (feature gate KubeletPodResourcesGet), and returns an error for a pod that does not exist.
_NO_ANSWER = frozenset({grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.NOT_FOUND, grpc.StatusCode.UNKNOWN})
# DRA drivers of other devices use names of the same form.
_GPU_DRIVER = "gpu.nvidia.com"


@dataclass(frozen=True, slots=True)
class PodResources:
    """Client of the kubelet's pod-resources API; implements `Allocations`.

    Attributes:
        socket: path of the kubelet's socket.
    """

    socket: Path

    def list(self) -> tuple[Allocation, ...]:
        """The devices of all containers.

        Raises:
            SourceError: the kubelet cannot be reached or returns an error; attribution is then unknown, not empty.
        """
        try:
            answer = self._call(LIST_METHOD, MESSAGES["ListPodResourcesRequest"](), "ListPodResourcesResponse")
        except grpc.RpcError as error:
            raise self._unavailable(error) from error
        return tuple(_allocations(answer.pod_resources))

    def of_pod(self, namespace: str, pod: str) -> tuple[Allocation, ...]:
        """The devices of one pod; none if the kubelet has no such pod or does not implement Get.

        Raises:
            SourceError: the kubelet cannot be reached.
        """
        request = MESSAGES["GetPodResourcesRequest"](pod_name=pod, pod_namespace=namespace)
        try:
            answer = self._call(GET_METHOD, request, "GetPodResourcesResponse")
        except grpc.RpcError as error:
            if error.code() in _NO_ANSWER:
                return ()
            raise self._unavailable(error) from error
        return tuple(_allocations([answer.pod_resources]))

    def _call(self, method: str, request: Any, answer: str) -> Any:
        # A pool of its own: connections of an earlier channel would wait a second before they try a restarted kubelet.
        options = [("grpc.max_receive_message_length", _MAX_BYTES), ("grpc.use_local_subchannel_pool", 1)]
        with grpc.insecure_channel(f"unix://{self.socket}", options=options) as channel:
            call = channel.unary_unary(
                method,
                request_serializer=lambda message: message.SerializeToString(),
                response_deserializer=MESSAGES[answer].FromString,
            )
            return call(request, timeout=_TIMEOUT_S)

    def _unavailable(self, error: grpc.RpcError) -> SourceError:
        return SourceError(
            f"the kubelet's pod-resources socket {self.socket} does not answer: {error.code().name}",
            hint="mount /var/lib/kubelet/pod-resources into the exporter, or set --pod-resources-socket",
        )


def _allocations(pods: Iterable[Any]) -> Iterator[Allocation]:
    for pod in pods:
        for container in pod.containers:
            owner = Container(pod.namespace, pod.name, container.name)
            for devices in container.devices:
                yield from (Allocation(owner, device_id) for device_id in devices.device_ids)
            for claim in container.dynamic_resources:
                for resource in claim.claim_resources:
                    if resource.driver_name == _GPU_DRIVER:
                        yield Allocation(owner, resource.device_name)
