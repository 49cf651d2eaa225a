"""A server of streamed remote read for tests: frames as Prometheus writes them, valid and broken."""

from collections.abc import Iterable, Iterator, Mapping

import google_crc32c
import httpx
from tests.xor_chunks import uvarint

from gpuwise.sources.prometheus.messages import MESSAGES, XOR

STREAMED = "application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse"


def message(labels: Mapping[str, str], *chunks: bytes, kind: int = XOR) -> bytes:
    """A ChunkedReadResponse of one series."""
    response = MESSAGES["ChunkedReadResponse"]()
    series = response.chunked_series.add()
    for name, value in sorted(labels.items()):
        series.labels.add(name=name, value=value)
    for chunk in chunks:
        series.chunks.add(type=kind, data=chunk)
    return response.SerializeToString()


def framed(body: bytes, *, crc: int | None = None) -> bytes:
    """A frame: length, checksum, message."""
    checksum = google_crc32c.value(body) if crc is None else crc
    return uvarint(len(body)) + checksum.to_bytes(4, "big") + body


def frame(labels: Mapping[str, str], *chunks: bytes, kind: int = XOR) -> bytes:
    """A valid frame of one series."""
    return framed(message(labels, *chunks, kind=kind))


class Pieces(httpx.SyncByteStream):
    """A body that is sent as it is read."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self.pieces = pieces
        self.closed = False

    def __iter__(self) -> Iterator[bytes]:
        yield from self.pieces

    def close(self) -> None:
        self.closed = True


def streamed(*pieces: bytes) -> httpx.Response:
    """The response to a read request."""
    return httpx.Response(200, headers={"Content-Type": STREAMED}, stream=Pieces(pieces))
