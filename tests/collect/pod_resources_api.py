"""The messages of the kubelet's pod-resources API as protobuf's own classes, for the fake kubelet.

Field numbers: k8s.io/kubelet/pkg/apis/podresources/v1/api.proto.
"""

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_FIELD = descriptor_pb2.FieldDescriptorProto
_STRING, _MESSAGE = _FIELD.TYPE_STRING, _FIELD.TYPE_MESSAGE
_ONE, _MANY = _FIELD.LABEL_OPTIONAL, _FIELD.LABEL_REPEATED
_MESSAGES: dict[str, tuple[tuple[str, int, int, int, str], ...]] = {
    "ListPodResourcesRequest": (),
    "ListPodResourcesResponse": (("pod_resources", 1, _MANY, _MESSAGE, "PodResources"),),
    "GetPodResourcesRequest": (
        ("pod_name", 1, _ONE, _STRING, ""),
        ("pod_namespace", 2, _ONE, _STRING, ""),
    ),
    "GetPodResourcesResponse": (("pod_resources", 1, _ONE, _MESSAGE, "PodResources"),),
    "PodResources": (
        ("name", 1, _ONE, _STRING, ""),
        ("namespace", 2, _ONE, _STRING, ""),
        ("containers", 3, _MANY, _MESSAGE, "ContainerResources"),
    ),
    "ContainerResources": (
        ("name", 1, _ONE, _STRING, ""),
        ("devices", 2, _MANY, _MESSAGE, "ContainerDevices"),
        ("cpu_ids", 3, _MANY, _FIELD.TYPE_INT64, ""),
        ("memory", 4, _MANY, _MESSAGE, "ContainerMemory"),
        ("dynamic_resources", 5, _MANY, _MESSAGE, "DynamicResource"),
    ),
    "ContainerDevices": (
        ("resource_name", 1, _ONE, _STRING, ""),
        ("device_ids", 2, _MANY, _STRING, ""),
        ("topology", 3, _ONE, _MESSAGE, "TopologyInfo"),
    ),
    "ContainerMemory": (("memory_type", 1, _ONE, _STRING, ""), ("size", 2, _ONE, _FIELD.TYPE_UINT64, "")),
    "TopologyInfo": (("nodes", 1, _MANY, _MESSAGE, "NUMANode"),),
    "NUMANode": (("ID", 1, _ONE, _FIELD.TYPE_INT64, ""),),
    "DynamicResource": (
        ("claim_name", 2, _ONE, _STRING, ""),
        ("claim_namespace", 3, _ONE, _STRING, ""),
        ("claim_resources", 4, _MANY, _MESSAGE, "ClaimResource"),
    ),
    "ClaimResource": (
        ("cdi_devices", 1, _MANY, _MESSAGE, "CDIDevice"),
        ("driver_name", 2, _ONE, _STRING, ""),
        ("pool_name", 3, _ONE, _STRING, ""),
        ("device_name", 4, _ONE, _STRING, ""),
    ),
    "CDIDevice": (("name", 1, _ONE, _STRING, ""),),
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
"""The protobuf classes by name."""
