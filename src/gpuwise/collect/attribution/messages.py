"""The messages of the kubelet's pod-resources API: reads the fields in use, and skips all others.

Every field in use is a string or a message, so the wire format (protobuf.dev/programming-guides/encoding) is read
directly: protobuf's runtime would take 3.5 MiB of memory.
Field numbers: k8s.io/kubelet/pkg/apis/podresources/v1/api.proto.
"""

from collections.abc import Iterator

from gpuwise.collect.attribution.allocation import Allocation, Container

LIST_METHOD = "/v1.PodResourcesLister/List"
GET_METHOD = "/v1.PodResourcesLister/Get"

# DRA drivers of other devices use device names of the same form.
_GPU_DRIVER = "gpu.nvidia.com"
_VARINT, _FIXED_64, _BYTES, _FIXED_32 = 0, 1, 2, 5
_FIXED = {_FIXED_64: 8, _FIXED_32: 4}
_LONGEST_VARINT = 10

Fields = dict[int, list[bytes]]
"""The contents of a message's strings and messages, by field number."""


def get_request(namespace: str, pod: str) -> bytes:
    """Return a GetPodResourcesRequest."""
    return _string(1, pod) + _string(2, namespace)


def allocations(response: bytes) -> Iterator[Allocation]:
    """The devices of all containers in a ListPodResourcesResponse, or of one pod in a GetPodResourcesResponse.

    Raises:
        ValueError: these are not the bytes of such a message.
    """
    for pod in _messages(fields(response), 1):
        for container in _messages(pod, 3):
            owner = Container(_text(pod, 2), _text(pod, 1), _text(container, 1))
            for devices in _messages(container, 2):
                yield from (Allocation(owner, device.decode()) for device in devices.get(2, ()))
            for claim in _messages(container, 5):
                yield from (Allocation(owner, _text(one, 4)) for one in _messages(claim, 4) if _is_gpu(one))


def fields(message: bytes) -> Fields:
    """Split a message into its fields; numbers are skipped.

    Raises:
        ValueError: the message is cut off, or has a wire type that does not exist in proto3.
    """
    found: Fields = {}
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        number, wire_type = tag >> 3, tag & 7
        if number == 0:
            raise ValueError("a field has number 0")
        if wire_type == _BYTES:
            length, at = _varint(message, at)
            found.setdefault(number, []).append(message[at : at + length])
            at += length
        elif wire_type == _VARINT:
            _, at = _varint(message, at)
        elif wire_type in _FIXED:
            at += _FIXED[wire_type]
        else:
            raise ValueError(f"field {number} has wire type {wire_type}")
    if at > len(message):
        raise ValueError(f"the message ends {at - len(message)} bytes before its last field")
    return found


def _varint(message: bytes, at: int) -> tuple[int, int]:
    """A number, and the position after it."""
    value = 0
    for count, byte in enumerate(message[at : at + _LONGEST_VARINT]):
        value |= (byte & 0x7F) << (7 * count)
        if byte < 0x80:
            return value, at + count + 1
    raise ValueError(f"the number at byte {at} does not end")


def _messages(parent: Fields, number: int) -> Iterator[Fields]:
    return (fields(content) for content in parent.get(number, ()))


def _text(message: Fields, number: int) -> str:
    """A string; an empty one is not sent."""
    return message[number][-1].decode() if number in message else ""


def _is_gpu(claimed: Fields) -> bool:
    return _text(claimed, 2) == _GPU_DRIVER


def _string(number: int, text: str) -> bytes:
    content = text.encode()
    length = len(content)
    written = bytearray([number << 3 | _BYTES])
    while length >= 0x80:
        written.append(length & 0x7F | 0x80)
        length >>= 7
    return bytes(written) + bytes([length]) + content
