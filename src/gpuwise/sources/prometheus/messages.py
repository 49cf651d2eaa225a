"""Remote read's messages: requests and response frames (prompb/remote.proto, prompb/types.proto of Prometheus).

The message classes are built at run time from the fields that are used, so no generated code requires one protobuf
version.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Any

import google_crc32c
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

from gpuwise.model.usage import Window
from gpuwise.sources.prometheus.refusals import printable
from gpuwise.sources.prometheus.series import Match, Selection

_KIND = descriptor_pb2.FieldDescriptorProto
_ONE, _MANY = _KIND.LABEL_OPTIONAL, _KIND.LABEL_REPEATED
_MESSAGES: dict[str, tuple[tuple[str, int, int, int, str], ...]] = {
    "ReadRequest": (
        ("queries", 1, _MANY, _KIND.TYPE_MESSAGE, "Query"),
        ("accepted_response_types", 2, _MANY, _KIND.TYPE_INT32, ""),
    ),
    "Query": (
        ("start_timestamp_ms", 1, _ONE, _KIND.TYPE_INT64, ""),
        ("end_timestamp_ms", 2, _ONE, _KIND.TYPE_INT64, ""),
        ("matchers", 3, _MANY, _KIND.TYPE_MESSAGE, "LabelMatcher"),
    ),
    "LabelMatcher": (
        ("type", 1, _ONE, _KIND.TYPE_INT32, ""),
        ("name", 2, _ONE, _KIND.TYPE_STRING, ""),
        ("value", 3, _ONE, _KIND.TYPE_STRING, ""),
    ),
    "ChunkedReadResponse": (("chunked_series", 1, _MANY, _KIND.TYPE_MESSAGE, "ChunkedSeries"),),
    "ChunkedSeries": (
        ("labels", 1, _MANY, _KIND.TYPE_MESSAGE, "Label"),
        ("chunks", 2, _MANY, _KIND.TYPE_MESSAGE, "Chunk"),
    ),
    "Label": (("name", 1, _ONE, _KIND.TYPE_STRING, ""), ("value", 2, _ONE, _KIND.TYPE_STRING, "")),
    "Chunk": (("type", 3, _ONE, _KIND.TYPE_INT32, ""), ("data", 4, _ONE, _KIND.TYPE_BYTES, "")),
}
_STREAMED_XOR_CHUNKS = 1
XOR = 1
"""Type of a chunk of floats."""
HISTOGRAMS = frozenset({2, 3})
"""Types of chunks of native histograms: of integers, and of floats."""

_MATCH = {Match.EQUAL: 0, Match.NOT_EQUAL: 1, Match.REGEX: 2, Match.NOT_REGEX: 3}
# A frame has one series and at most storage.remote.read-max-bytes-in-frame (default 1 MiB) plus one chunk.
MOST_FRAME_BYTES = 64 * 2**20


def _classes() -> dict[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(name="gpuwise/remote.proto", package="prometheus", syntax="proto3")
    for message, fields in _MESSAGES.items():
        descriptor = file.message_type.add(name=message)
        for name, number, label, kind, of in fields:
            type_name = f".prometheus.{of}" if of else None
            descriptor.field.add(name=name, number=number, label=label, type=kind, type_name=type_name)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"prometheus.{name}")) for name in _MESSAGES
    }


MESSAGES = _classes()
"""The protobuf classes by name; the test server uses the same classes."""


class Malformed(Exception):
    """The stream is not valid; the text is the reason."""


def read_request(selection: Selection, window: Window) -> bytes:
    """Build the POST body of a request for the series of one selection."""
    request = MESSAGES["ReadRequest"](accepted_response_types=[_STREAMED_XOR_CHUNKS])
    query = request.queries.add(start_timestamp_ms=window.start_s * 1000, end_timestamp_ms=window.end_s * 1000 - 1)
    query.matchers.add(type=_MATCH[Match.REGEX], name="__name__", value="|".join(map(re.escape, selection.names)))
    for matcher in selection.matchers:
        query.matchers.add(type=_MATCH[matcher.match], name=matcher.label, value=matcher.value)
    return _snappy(request.SerializeToString())


def _snappy(data: bytes) -> bytes:
    """Build a Snappy block of one literal (google/snappy, format_description.txt): a request is short."""
    return _uvarint(len(data)) + b"\xfc" + (len(data) - 1).to_bytes(4, "little") + data


def _uvarint(value: int) -> bytes:
    groups = bytearray()
    while value > 127:
        groups.append(value & 127 | 128)
        value >>= 7
    return bytes([*groups, value])


def frames(pieces: Iterable[bytes]) -> Iterator[Any]:
    """Yield the ChunkedReadResponse messages of a stream, one at a time.

    Before each message are its length as a varint and its CRC-32C as 4 big-endian bytes (storage/remote/chunked.go).

    Args:
        pieces: the stream, in pieces of any size.

    Raises:
        Malformed: a checksum is wrong, a message is not valid, or the stream ends within a frame.
    """
    buffer = bytearray()
    for piece in pieces:
        buffer += piece
        while (span := _first_frame(buffer)) is not None:
            start, end = span
            message = bytes(memoryview(buffer)[start:end])
            if google_crc32c.value(message) != int.from_bytes(buffer[start - 4 : start], "big"):
                raise Malformed("the checksum of a frame is wrong")
            del buffer[:end]
            try:
                yield MESSAGES["ChunkedReadResponse"].FromString(message)
            except DecodeError as error:
                raise Malformed(f"a frame is not a valid message: {error}") from error
    if buffer:
        # A server that fails while it streams can only append the reason.
        raise Malformed(f"the stream ends within a frame: {printable(buffer[-200:].decode(errors='replace'))}")


def _first_frame(buffer: bytearray) -> tuple[int, int] | None:
    """Return where the first message of the buffer starts and ends, None if it has not arrived completely."""
    length = 0
    for i, byte in enumerate(buffer[:5]):
        length |= (byte & 127) << 7 * i
        if length > MOST_FRAME_BYTES:
            break
        if byte < 128:
            start = i + 1 + 4
            return (start, start + length) if len(buffer) >= start + length else None
    if len(buffer) < 5 and length <= MOST_FRAME_BYTES:
        return None
    raise Malformed(f"a frame of more than {MOST_FRAME_BYTES >> 20} MiB")
