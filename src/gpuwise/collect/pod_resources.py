"""Which container holds which device, asked of the kubelet over its pod-resources socket (gRPC v1 List).

The messages are built at run time from the five fields that matter; the kubelet's other fields are skipped as unknown,
so no generated code pins us to one protobuf. Field numbers:
k8s.io/kubelet/pkg/apis/podresources/v1/api.proto.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from gpuwise.model.errors import SourceError
from gpuwise.model.usage import PodRef

LIST_METHOD = "/v1.PodResourcesLister/List"
_TIMEOUT_S = 5.0
# The kubelet's own limit (podresources/constants.go, DefaultPodResourcesMaxSize); gRPC's default is 4 MB.
_MAX_BYTES = 16 * 2**20

_STRING, _MESSAGE = descriptor_pb2.FieldDescriptorProto.TYPE_STRING, descriptor_pb2.FieldDescriptorProto.TYPE_MESSAGE
_ONE, _MANY = descriptor_pb2.FieldDescriptorProto.LABEL_OPTIONAL, descriptor_pb2.FieldDescriptorProto.LABEL_REPEATED
_MESSAGES: dict[str, tuple[tuple[str, int, int, int, str], ...]] = {
    "ListPodResourcesRequest": (),
    "ListPodResourcesResponse": (("pod_resources", 1, _MANY, _MESSAGE, "PodResources"),),
    "PodResources": (
        ("name", 1, _ONE, _STRING, ""),
        ("namespace", 2, _ONE, _STRING, ""),
        ("containers", 3, _MANY, _MESSAGE, "ContainerResources"),
    ),
    "ContainerResources": (("name", 1, _ONE, _STRING, ""), ("devices", 2, _MANY, _MESSAGE, "ContainerDevices")),
    "ContainerDevices": (("resource_name", 1, _ONE, _STRING, ""), ("device_ids", 2, _MANY, _STRING, "")),
}


def _classes() -> dict[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(name="gpuwise/podresources.proto", package="v1", syntax="proto3")
    for message, fields in _MESSAGES.items():
        descriptor = file.message_type.add(name=message)
        for name, number, label, kind, of in fields:
            descriptor.field.add(
                name=name, number=number, label=label, type=kind, type_name=f".v1.{of}" if of else None
            )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"v1.{name}")) for name in _MESSAGES}


MESSAGES = _classes()
"""The protobuf classes by name; a kubelet for tests speaks with the same."""


@dataclass(frozen=True, slots=True)
class PodResources:
    """The kubelet's answer to who holds what.

    Attributes:
        socket: path of the kubelet's socket.
    """

    socket: Path

    def __call__(self) -> Mapping[str, tuple[PodRef, ...]]:
        """The containers that hold each device, by device id: for NVIDIA's, the UUID of the GPU or MIG device.

        Raises:
            SourceError: the kubelet cannot be reached or refuses; attribution is then unknown, not empty.
        """
        options = [("grpc.max_receive_message_length", _MAX_BYTES)]
        try:
            with grpc.insecure_channel(f"unix://{self.socket}", options=options) as channel:
                call = channel.unary_unary(
                    LIST_METHOD,
                    request_serializer=lambda request: request.SerializeToString(),
                    response_deserializer=MESSAGES["ListPodResourcesResponse"].FromString,
                )
                response = call(MESSAGES["ListPodResourcesRequest"](), timeout=_TIMEOUT_S)
        except grpc.RpcError as error:
            raise SourceError(
                f"the kubelet's pod-resources socket {self.socket} does not answer: {error.code().name}",
                mend="mount /var/lib/kubelet/pod-resources into the exporter, or name another --pod-resources-socket",
            ) from error
        return _by_device(response)


def _by_device(response: Any) -> dict[str, tuple[PodRef, ...]]:
    holders: dict[str, list[PodRef]] = defaultdict(list)
    for device_id, pod in _allocations(response):
        uuid = device_id.partition("::")[0]  # the device plugin's time-slicing names the replicas "GPU-...::0", "::1"
        if pod not in holders[uuid]:
            holders[uuid].append(pod)
    return {uuid: tuple(pods) for uuid, pods in holders.items()}


def _allocations(response: Any) -> Iterator[tuple[str, PodRef]]:
    for pod in response.pod_resources:
        for container in pod.containers:
            for devices in container.devices:
                for device_id in devices.device_ids:
                    yield device_id, PodRef(pod.namespace, pod.name, container.name)
