# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""Reduce XOR chunks to the maximum of each step, in one pass. `gpuwise.sources.prometheus._chunks_py` is the specification."""

from libc.stdint cimport int64_t, uint8_t, uint64_t
from libc.string cimport memcpy

cdef enum:
    # Decoding stops at the first sample that ends beyond the chunk. So a read goes beyond the chunk by at most the
    # longest sample (10 bytes of varint, then 77 bits of value) and one read of 8 bytes: 28 bytes in total.
    PADDING = 32

cdef struct Grid:
    double* values
    int64_t start, end, step, low, high, index
    bint lowest


cdef inline uint64_t look(const uint8_t* data, uint64_t bit) noexcept nogil:
    """Return at least the next 57 bits, left-aligned."""
    cdef const uint8_t* at = data + (bit >> 3)
    return ((<uint64_t>at[0] << 56) | (<uint64_t>at[1] << 48) | (<uint64_t>at[2] << 40) | (<uint64_t>at[3] << 32)
            | (<uint64_t>at[4] << 24) | (<uint64_t>at[5] << 16) | (<uint64_t>at[6] << 8) | at[7]) << (bit & 7)


cdef inline uint64_t bits(const uint8_t* data, uint64_t bit, int count) noexcept nogil:
    if count <= 57:
        return look(data, bit) >> (64 - count)
    return (look(data, bit) >> 32 << (count - 32)) | (look(data, bit + 32) >> (96 - count))


cdef inline int varint(const uint8_t* data, uint64_t* bit, uint64_t* value) noexcept nogil:
    cdef int shift
    value[0] = 0
    for shift in range(0, 70, 7):
        byte = data[bit[0] >> 3]
        bit[0] += 8
        value[0] |= <uint64_t>(byte & 127) << shift
        if byte < 128:
            return 0
    return -1


cdef inline void put(Grid* grid, int64_t at, double value) noexcept nogil:
    cdef double* best
    if at < grid.low or at >= grid.high:
        if at < grid.start or at >= grid.end:
            return
        grid.index = (at - grid.start) // grid.step
        grid.low = grid.start + grid.index * grid.step
        grid.high = grid.low + grid.step
    best = grid.values + grid.index
    if value == value and not (best[0] <= value if grid.lowest else best[0] >= value):
        best[0] = value


cdef int64_t chunk(const uint8_t* data, uint64_t begin, uint64_t end, Grid* grid) noexcept nogil:
    """Return the number of samples in the chunk, -1 if it is damaged."""
    cdef uint64_t bit = 8 * (begin + 2), past = 8 * end, at = 0, delta = 0, word, raw
    cdef int count, leading, significant = 64, trailing = 0, samples = (data[begin] << 8) | data[begin + 1], i
    cdef double value
    if begin + 2 > end:
        return -1
    for i in range(samples):
        if i == 0:
            if varint(data, &bit, &at) < 0:
                return -1
            at = (at >> 1) ^ (0 - (at & 1))
            raw = bits(data, bit, 64)
            bit += 64
        else:
            if i == 1:
                if varint(data, &bit, &delta) < 0:
                    return -1
                word = look(data, bit)
            else:
                word = look(data, bit)
                if word >> 63 == 0:
                    word <<= 1
                    bit += 1
                else:
                    if word >> 62 == 0b10:
                        bit += 2
                        count = 14
                    elif word >> 61 == 0b110:
                        bit += 3
                        count = 17
                    else:
                        bit += 4
                        count = 20 if word >> 60 == 0b1110 else 64
                    word = bits(data, bit, count)
                    bit += count
                    if count < 64 and word > <uint64_t>1 << (count - 1):
                        word -= <uint64_t>1 << count
                    delta += word
                    word = look(data, bit)
            at += delta
            if word >> 63 == 0:
                bit += 1
            else:
                if word >> 62 == 0b10:
                    bit += 2
                else:
                    leading = (word >> 57) & 31
                    significant = (word >> 51) & 63
                    if significant == 0:
                        significant = 64
                    trailing = 64 - leading - significant
                    if trailing < 0:
                        return -1
                    bit += 13
                raw ^= bits(data, bit, significant) << trailing
                bit += significant
        if bit > past:
            return -1
        memcpy(&value, &raw, 8)
        put(grid, <int64_t>at, value)
    return samples


def reduce_chunks(
    const uint8_t[::1] data, const int64_t[::1] ends, double[::1] values, int64_t start, int64_t step, bint lowest
):
    """See the Python twin."""
    cdef Py_ssize_t i
    cdef int64_t begin = 0, samples, total = 0
    cdef Grid grid
    if step <= 0 or start < -(2**53) or start > 2**53 or step > 2**53 // (values.shape[0] + 1):
        raise ValueError("the grid is not within 2**53 ms of the epoch")
    grid.start = grid.low = grid.high = start
    grid.step, grid.end, grid.index, grid.lowest = step, start + step * values.shape[0], 0, lowest
    grid.values = &values[0] if values.shape[0] else NULL
    for i in range(ends.shape[0]):
        if ends[i] < begin or ends[i] > data.shape[0] - PADDING:
            raise ValueError("ends do not ascend, or leave no padding")
        with nogil:
            samples = chunk(&data[0], begin, ends[i], &grid)
        if samples < 0:
            return -1 - i
        total += samples
        begin = ends[i]
    return total
