"""Writes a block that Prometheus serves (tsdb/docs/format of Prometheus) within seconds, for any number of samples.

Series may share their chunks, because the index only refers to them, so 200 million samples take 20 MB.
"""

import json
import struct
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import google_crc32c
from tests.xor_chunks import encode, uvarint

SAMPLES_PER_CHUNK = 120  # as Prometheus cuts them
_ULID = "01GPWASTE".ljust(26, "0")  # base 32 without I, L, O and U: any other folder is ignored
_XOR = b"\x01"


@dataclass(frozen=True)
class Pattern:
    """The chunks of a series: their first and last times in milliseconds, and their bytes."""

    chunks: Sequence[tuple[int, int, bytes]]

    @classmethod
    def of(cls, times: Sequence[int], values: Sequence[float]) -> "Pattern":
        cuts = range(0, len(times), SAMPLES_PER_CHUNK)
        parts = [list(zip(times, values, strict=True))[i : i + SAMPLES_PER_CHUNK] for i in cuts]
        return cls([(part[0][0], part[-1][0], encode(part)) for part in parts])

    @property
    def samples(self) -> int:
        return sum(int.from_bytes(data[:2], "big") for _, _, data in self.chunks)


def write_block(data: Path, patterns: Sequence[Pattern], series: Sequence[tuple[Mapping[str, str], int]]) -> None:
    """Write one block into a data directory; each series consists of its labels and the index of its pattern."""
    block = data / _ULID
    (block / "chunks").mkdir(parents=True)
    references = _write_chunks(block / "chunks" / "000001", patterns)
    tails = [_chunk_list(pattern, of) for pattern, of in zip(patterns, references, strict=True)]
    ordered = sorted((sorted(labels.items()), pattern) for labels, pattern in series)
    (block / "index").write_bytes(_index(ordered, tails))
    bounds = [(chunk[0], chunk[1]) for pattern in patterns for chunk in pattern.chunks]
    meta = {
        "ulid": _ULID,
        "minTime": min(first for first, _ in bounds),
        "maxTime": max(last for _, last in bounds) + 1,
        "stats": {
            "numSamples": sum(patterns[number].samples for _, number in series),
            "numSeries": len(series),
            "numChunks": sum(len(patterns[number].chunks) for _, number in series),
        },
        "compaction": {"level": 1, "sources": [_ULID]},
        "version": 1,
    }
    (block / "meta.json").write_text(json.dumps(meta))


def _write_chunks(path: Path, patterns: Sequence[Pattern]) -> list[list[int]]:
    """Write the segment file and return the offset of each chunk of each pattern."""
    out = bytearray(b"\x85\xbd\x40\xdd\x01\x00\x00\x00")
    references = []
    for pattern in patterns:
        references.append([])
        for _, _, data in pattern.chunks:
            references[-1].append(len(out))
            out += uvarint(len(data)) + _XOR + data + _crc(_XOR + data)
    path.write_bytes(out)
    return references


def _chunk_list(pattern: Pattern, references: Sequence[int]) -> bytes:
    """The part of a series' index entry that refers to its chunks."""
    out = bytearray(uvarint(len(references)))
    last_ms = last_reference = 0
    for i, ((first_ms, end_ms, _), reference) in enumerate(zip(pattern.chunks, references, strict=True)):
        out += uvarint(first_ms - last_ms) if i else _varint(first_ms)
        out += uvarint(end_ms - first_ms)
        out += _varint(reference - last_reference) if i else uvarint(reference)
        last_ms, last_reference = end_ms, reference
    return bytes(out)


def _index(series: Sequence[tuple[list[tuple[str, str]], int]], tails: Sequence[bytes]) -> bytes:
    symbols = sorted({text for labels, _ in series for pair in labels for text in pair})
    number = {text: i for i, text in enumerate(symbols)}
    out = bytearray(b"\xba\xaa\xd7\x00\x02")
    symbols_at = len(out)
    texts = b"".join(uvarint(len(text.encode())) + text.encode() for text in symbols)
    out += _section(struct.pack(">I", len(symbols)) + texts)
    out += bytes(-len(out) % 16)
    series_at, postings = len(out), defaultdict(list)
    for labels, pattern in series:
        out += bytes(-len(out) % 16)
        for pair in (("", ""), *labels):
            postings[pair].append(len(out) // 16)
        pairs = b"".join(uvarint(number[name]) + uvarint(number[value]) for name, value in labels)
        content = uvarint(len(labels)) + pairs + tails[pattern]
        out += uvarint(len(content)) + content + _crc(content)
    postings_at, offsets = len(out), []
    for pair, references in sorted(postings.items()):
        out += bytes(-len(out) % 4)
        offsets.append((pair, len(out)))
        out += _section(struct.pack(f">I{len(references)}I", len(references), *references))
    table_at = len(out)
    entries = (b"\x02" + b"".join(map(_text, pair)) + uvarint(offset) for pair, offset in offsets)
    out += _section(struct.pack(">I", len(offsets)) + b"".join(entries))
    contents = struct.pack(">6Q", symbols_at, series_at, 0, 0, postings_at, table_at)  # 0: no label indices, unused
    return bytes(out + contents + _crc(contents))


def _section(content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + content + _crc(content)


def _text(text: str) -> bytes:
    return uvarint(len(text.encode())) + text.encode()


def _varint(value: int) -> bytes:
    return uvarint(value << 1 if value >= 0 else ~value << 1 | 1)


def _crc(data: bytes) -> bytes:
    return google_crc32c.value(bytes(data)).to_bytes(4, "big")
