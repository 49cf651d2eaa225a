"""The specification of native/chunks.pyx in Python.

A chunk has Prometheus' XOR encoding (tsdb/docs/format/chunks.md; tsdb/chunkenc/xor.go): times are deltas of deltas, and
values are XORs with the previous value, after Facebook's Gorilla (Pelkonen et al., VLDB 2015, section 4.1).
"""

import struct
from array import array
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

PADDING = 32
_WORD = 2**64 - 1
# Number of bits of a delta of deltas, by the number of one bits before it.
_DELTA_BITS = (0, 14, 17, 20, 64)


class _Damaged(Exception):
    """A sample ends beyond its chunk, or contains what no encoder writes."""


def reduce_chunks(
    data: bytes,
    ends: "array[int]",
    values: NDArray[np.float64],
    start: int,
    step: int,
    lowest: bool,  # noqa: FBT001 - the kernel's
) -> int:
    """Keep the highest (or lowest) sample of each step; NaN, which includes staleness markers, is not a sample.

    The existing value of a step counts as a sample. Chunks may come in any order and overlap; samples outside the grid
    are skipped.

    Args:
        data: the chunks, one after the other, then at least `PADDING` arbitrary bytes.
        ends: int64, shape (chunks,): where each chunk ends in `data`.
        values: float64, shape (steps,), NaN for a step without a value; changed in place.
        start: start of the first step, milliseconds since the epoch.
        step: length of a step, milliseconds.
        lowest: keep the lowest sample instead of the highest.

    Returns:
        Number of samples in the chunks; or -1 - i if chunk i is damaged: `values` then has its samples before the
        damage, and none of later chunks.

    Raises:
        ValueError: the arguments are not valid.
    """
    if step <= 0 or abs(start) > 2**53 or step > 2**53 // (values.shape[0] + 1):
        raise ValueError("the grid is not within 2**53 ms of the epoch")
    begin = total = 0
    for i, end in enumerate(map(int, ends)):
        if end < begin or end > len(data) - PADDING:
            raise ValueError("ends do not ascend, or leave no padding")
        try:
            total += _reduce(bytes(data[begin:end]), values, start, step, lowest)
        except _Damaged:
            return -1 - i
        begin = end
    return total


def _reduce(chunk: bytes, values: NDArray[np.float64], start: int, step: int, lowest: bool) -> int:  # noqa: FBT001
    samples = _Samples(chunk, 0)
    count = samples.bits(16)
    for i in range(count):
        at, value = samples.following(i)
        index = (at - start) // step
        if value != value or not 0 <= index < values.shape[0]:  # noqa: PLR0124 - NaN is not a sample
            continue
        best = values[index]
        if not (best <= value if lowest else best >= value):
            values[index] = value
    return count


@dataclass(slots=True)
class _Samples:
    """Current position in a chunk, and the previous sample."""

    chunk: bytes
    bit: int
    at: int = 0
    delta: int = 0
    raw: int = 0
    significant: int = 64
    trailing: int = 0

    def following(self, i: int) -> tuple[int, float]:
        """Read sample i: its time in signed milliseconds, wrapped to 64 bits, and its value."""
        if i == 0:
            zigzag = self.varint()
            self.at = (zigzag >> 1) ^ -(zigzag & 1)
            self.raw = self.bits(64)
        else:
            self.delta = self.varint() if i == 1 else self.delta + self._delta_of_delta()
            self.at += self.delta
            self._change_value()
        at = self.at & _WORD
        return at - (at >> 63 << 64), struct.unpack(">d", self.raw.to_bytes(8, "big"))[0]

    def bits(self, count: int) -> int:
        """Read the next bits as an unsigned number."""
        first, past = self.bit >> 3, self.bit + count
        if past > 8 * len(self.chunk):
            raise _Damaged
        last = (past + 7) >> 3
        word = int.from_bytes(self.chunk[first:last], "big") >> (8 * last - past)
        self.bit = past
        return word & ((1 << count) - 1)

    def varint(self) -> int:
        """Read groups of 7 bits, lowest first; all but the last have the eighth bit set; at most 10 groups, 64 bits."""
        value = 0
        for shift in range(0, 70, 7):
            byte = self.bits(8)
            value |= (byte & 127) << shift
            if byte < 128:
                return value & _WORD
        raise _Damaged

    def _delta_of_delta(self) -> int:
        ones = 0
        while ones < 4 and self.bits(1):
            ones += 1
        count = _DELTA_BITS[ones]
        word = self.bits(count)
        # The range is asymmetric: -(2**(n-1) - 1) .. 2**(n-1).
        return word - (1 << count) if count and word > 1 << (count - 1) else word

    def _change_value(self) -> None:
        if not self.bits(1):
            return
        if self.bits(1):
            leading = self.bits(5)
            self.significant = self.bits(6) or 64
            self.trailing = 64 - leading - self.significant
            if self.trailing < 0:
                raise _Damaged
        self.raw ^= self.bits(self.significant) << self.trailing
