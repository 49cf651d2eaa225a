"""XOR chunks in Prometheus' format (tsdb/docs/format/chunks.md), for tests and benchmarks."""

import struct
from collections.abc import Sequence

_WORD = 2**64 - 1
_FLOAT, _BITS = struct.Struct("d"), struct.Struct("Q")
# The ranges of deltas of deltas, with the prefix, its number of bits, and the number of bits of the value.
_TIME_CODES = ((-8191, 8192, 0b10, 2, 14), (-65535, 65536, 0b110, 3, 17), (-524287, 524288, 0b1110, 4, 20))


def encode(samples: Sequence[tuple[int, float]]) -> bytes:
    """A chunk of these samples: milliseconds and value, at most 65,535 of them."""
    out, count = 0, 0

    def put(value: int, bits: int) -> None:
        nonlocal out, count
        out, count = (out << bits) | (value & ((1 << bits) - 1)), count + bits

    window, delta, last_at, last_raw = (-1, -1), 0, 0, 0
    for i, (at, value) in enumerate(samples):
        (raw,) = _BITS.unpack(_FLOAT.pack(value))
        if i == 0:
            for byte in uvarint((at << 1) ^ (at >> 63)):
                put(byte, 8)
            put(raw, 64)
        else:
            last_delta, delta = delta, at - last_at
            if i == 1:
                for byte in uvarint(delta & _WORD):
                    put(byte, 8)
            else:
                put(*_time_code(delta - last_delta))
            window = _put_change(put, raw ^ last_raw, window)
        last_at, last_raw = at, raw
    padding = -count % 8
    return len(samples).to_bytes(2, "big") + (out << padding).to_bytes((count + padding) // 8, "big")


def uvarint(value: int) -> bytes:
    """Groups of 7 bits, the lowest first."""
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def _time_code(change: int) -> tuple[int, int]:
    if change == 0:
        return 0, 1
    for lowest, highest, prefix, ahead, bits in _TIME_CODES:
        if lowest <= change <= highest:
            return prefix << bits | change & ((1 << bits) - 1), ahead + bits
    return 0b1111 << 64 | change & _WORD, 68


def _put_change(put, change: int, window: tuple[int, int]) -> tuple[int, int]:
    if change == 0:
        put(0, 1)
        return window
    leading, trailing = min(64 - change.bit_length(), 31), (change & -change).bit_length() - 1
    if 0 <= window[0] <= leading and window[1] <= trailing:
        put(0b10, 2)
        put(change >> window[1], 64 - window[0] - window[1])
        return window
    significant = 64 - leading - trailing
    put(0b11 << 11 | leading << 6 | significant & 63, 13)
    put(change >> trailing, significant)
    return leading, trailing
