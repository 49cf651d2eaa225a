# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""The samples of a device, counted and summed hour by hour; `gpuwise.score._hours_py` is its specification."""

from cpython.buffer cimport PyBUF_ANY_CONTIGUOUS, PyBuffer_Release, PyObject_GetBuffer
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

cdef extern from "hour.h" nogil:
    ctypedef struct Buckets:
        uint32_t* row
        int32_t base, last

    ctypedef struct Steps:
        Py_ssize_t steps, offset, per_hour

    Py_ssize_t begin_of(const Steps*, Py_ssize_t)
    void hours_f32(const float*, Steps, Py_ssize_t, Py_ssize_t, double, Buckets, uint8_t*, double*, uint16_t*)
    void hours_f64(const double*, Steps, Py_ssize_t, Py_ssize_t, double, Buckets, uint8_t*, double*, uint16_t*)
    Py_ssize_t checked_f32(const float*, Py_ssize_t, double, const Buckets*, uint8_t*, double*)
    Py_ssize_t checked_f64(const double*, Py_ssize_t, double, const Buckets*, uint8_t*, double*)
    void reaching_f32(const float*, Py_ssize_t, double, const uint8_t*, uint8_t*)
    void reaching_f64(const double*, Py_ssize_t, double, const uint8_t*, uint8_t*)
    double sum_f32(const float*, Py_ssize_t, const uint64_t*)
    double sum_f64(const double*, Py_ssize_t, const uint64_t*)

# Numbers of the first bucket of normal float32, less one for what is below it, and of the first one after them.
cdef enum:
    FIRST_BUCKET = 64 * (1023 - 126) - 1
    END_BUCKET = 64 * (1023 + 128)
    DAY_H = 24


cdef struct Column:
    const float* single  # one of the two is NULL
    const double* double_
    double highest, limit
    uint32_t* counts
    int64_t base, buckets
    Py_ssize_t into
    uint8_t voter
    bint activity


cdef void* memory_of(array, Py_ssize_t size, Py_ssize_t itemsize) except? NULL:
    """The memory of an array, which its owner keeps; a typed memoryview of it takes six times as long."""
    cdef Py_buffer view
    PyObject_GetBuffer(array, &view, PyBUF_ANY_CONTIGUOUS)
    cdef void* memory = view.buf
    cdef bint fits = view.itemsize == itemsize and view.len == size * itemsize
    PyBuffer_Release(&view)
    if not fits:
        raise ValueError(f"expected {size} items of {itemsize} bytes")
    return memory


cdef void set_column(Column* to, one, Py_ssize_t steps) except *:
    samples, to.highest, to.limit, to.voter, to.activity, to.base, counts, to.into = one
    if samples.dtype.char not in "fd" or not samples.dtype.isnative:
        raise TypeError(f"samples are {samples.dtype}, not float32 or float64")
    cdef void* memory = memory_of(samples, steps, samples.itemsize)
    to.single = <float*>memory if samples.itemsize == 4 else NULL
    if to.single != NULL:
        to.limit = <float>to.limit  # NumPy compares float32 with a limit in float32: 0.7 becomes 0.69999999
    to.double_ = NULL if samples.itemsize == 4 else <double*>memory
    to.counts = NULL
    if counts is not None:
        to.counts, to.buckets = <uint32_t*>memory_of(counts, counts.size, 4), counts.shape[1]
        # Every bucket but the first and the last is for normal float32, and there are at most 2^15.
        if to.base < FIRST_BUCKET or to.base + to.buckets > END_BUCKET or to.buckets > 1 << 15:
            raise ValueError(f"{to.buckets} buckets from number {to.base} on are not all of normal float32")


cdef inline Buckets buckets_of(const Column* one, Py_ssize_t day) noexcept nogil:
    cdef Buckets into
    into.row, into.base, into.last = NULL, FIRST_BUCKET, 0
    if one.counts != NULL:
        into.row = one.counts + day * one.buckets
        into.base, into.last = <int32_t>one.base, <int32_t>one.buckets - 1
    return into


cdef inline void count_whole(const Column* one, Steps of, Py_ssize_t hour, Py_ssize_t end, Buckets into,
                             uint8_t* whole, double* peaks, uint16_t* seen) noexcept nogil:
    """Count the hours in which every sample of a column is valid, and set `whole` to whether each is such an hour."""
    if one.single != NULL:
        hours_f32(one.single, of, hour, end, one.highest, into, whole, peaks, seen)
    else:
        hours_f64(one.double_, of, hour, end, one.highest, into, whole, peaks, seen)


cdef inline Py_ssize_t count_known(const Column* one, Py_ssize_t at, Py_ssize_t steps, const Buckets* into,
                                   uint8_t* known, double* largest) noexcept nogil:
    """Count another hour; returns how many samples are valid, and sets `known` to whether each is."""
    if one.single != NULL:
        return checked_f32(one.single + at, steps, one.highest, into, known, largest)
    return checked_f64(one.double_ + at, steps, one.highest, into, known, largest)


cdef inline void reaching(const Column* one, Py_ssize_t at, Py_ssize_t steps, const uint8_t* known,
                          uint8_t* flags) noexcept nogil:
    if one.single != NULL:
        reaching_f32(one.single + at, steps, one.limit, known, flags)
    else:
        reaching_f64(one.double_ + at, steps, one.limit, known, flags)


cdef inline double total(const Column* one, Py_ssize_t at, Py_ssize_t steps, const uint64_t* masks) noexcept nogil:
    if one.single != NULL:
        return sum_f32(one.single + at, steps, masks)
    return sum_f64(one.double_ + at, steps, masks)


cdef void pack(const uint8_t* flags, Py_ssize_t width, uint8_t* bits) noexcept nogil:
    """Flags of 0 and 1 as bits, the first in the highest bit; `width` bytes of bits."""
    cdef Py_ssize_t i
    cdef uint64_t eight
    for i in range(width):
        memcpy(&eight, flags + 8 * i, 8)
        # Each flag is shifted to its place in the highest byte; the sums of the others do not reach it.
        bits[i] = <uint8_t>(eight * <uint64_t>0x8040201008040201 >> 56)


cdef inline void copy_bits(uint8_t* to, const uint8_t* bits, Py_ssize_t width) noexcept nogil:
    if width == 8:  # steps of a minute: one instruction instead of a call
        memcpy(to, bits, 8)
    else:
        memcpy(to, bits, width)


cdef struct Scratch:
    # Of one hour: flags of 0 and 1 per step, from the beginning of the hour; masks of the steps that are present.
    uint8_t* sampled
    uint8_t* active
    uint8_t* vetoed
    uint8_t* known  # of each column, of the steps that are present
    uint64_t* at_work
    uint64_t* of_column
    uint8_t* complete  # of each column
    uint8_t* whole  # of each column and hour of a day: every sample is valid, and counted
    uint8_t* full  # the bits of an hour in which every step is set


cdef struct Rows:
    # Those of `device_rows`; what is by signal has the hours of each signal together.
    Py_ssize_t hours
    uint8_t* sampled
    uint8_t* active
    uint8_t* idle
    uint8_t* voters
    double* peak
    double* busy_sum
    uint16_t* seen
    uint16_t* busy_seen


cdef void set_rows(Rows* to, rows, Py_ssize_t least, Py_ssize_t width) except *:
    cdef Py_ssize_t hours = rows["seen"].shape[0], wide = rows["seen"].shape[1]
    if hours < least:
        raise ValueError(f"{hours} rows are too few for {least} hours")
    to.hours = hours
    to.sampled = <uint8_t*>memory_of(rows["sampled"], hours * width, 1)
    to.active = <uint8_t*>memory_of(rows["active"], hours * width, 1)
    to.idle = <uint8_t*>memory_of(rows["idle"], hours * width, 1)
    to.voters = <uint8_t*>memory_of(rows["voters"], hours, 1)
    to.peak = <double*>memory_of(rows["peak"], hours * wide, 8)
    to.busy_sum = <double*>memory_of(rows["busy_sum"], hours * wide, 8)
    to.seen = <uint16_t*>memory_of(rows["seen"], hours * wide, 2)
    to.busy_seen = <uint16_t*>memory_of(rows["busy_seen"], hours * wide, 2)


cdef void sum_at_work(const Column* each, Py_ssize_t size, Py_ssize_t begin, Py_ssize_t here, Py_ssize_t first,
                      const Scratch* of, Py_ssize_t most, Rows* to, Py_ssize_t hour) noexcept nogil:
    """Sum the samples of each column at the active steps of an hour."""
    cdef Py_ssize_t at, i, row, valid, busy = 0
    for i in range(here):
        busy += of.active[first + i]
        of.at_work[i] = -<uint64_t>of.active[first + i]
    for at in range(size):
        row, valid = each[at].into * to.hours + hour, 0
        if of.complete[at]:
            to.busy_sum[row], to.busy_seen[row] = total(&each[at], begin, here, of.at_work), <uint16_t>busy
            continue
        for i in range(here):
            of.of_column[i] = of.at_work[i] & -<uint64_t>of.known[at * most + i]
            valid += of.of_column[i] & 1
        to.busy_sum[row], to.busy_seen[row] = total(&each[at], begin, here, of.of_column), <uint16_t>valid


cdef bint is_plain(const Column* each, Py_ssize_t size, Py_ssize_t hour, const uint8_t* whole,
                   const Rows* to) noexcept nogil:
    """Whether every sample of an hour is valid, and none is a sign of use."""
    cdef Py_ssize_t at
    for at in range(size):
        if not whole[at * DAY_H]:
            return False
        if each[at].voter and to.peak[each[at].into * to.hours + hour] >= each[at].limit:
            return False
    return True


def count(columns, Py_ssize_t steps, Py_ssize_t offset, Py_ssize_t per_hour, Py_ssize_t first_hour, rows):
    """See the Python twin."""
    cdef Py_ssize_t size = len(columns), width = (per_hour + 7) // 8, most = 8 * width
    cdef Py_ssize_t hours = (steps + offset + per_hour - 1) // per_hour
    cdef Py_ssize_t hour, begin, first, here, day, midnight, of_day, at, i, row, valid
    cdef uint8_t voters = 0
    cdef bint any_whole, any_active, any_vetoed, flagged = True
    cdef double largest
    cdef Column* one
    cdef Buckets into
    cdef Steps grid
    cdef Scratch of
    cdef Rows to
    grid.steps, grid.offset, grid.per_hour = steps, offset, per_hour
    if not size or not steps:
        return
    set_rows(&to, rows, hours, width)
    cdef Column* each = <Column*>PyMem_Malloc(size * sizeof(Column))
    cdef char* memory = <char*>PyMem_Malloc(2 * most * sizeof(uint64_t) + (3 + size) * most + (1 + DAY_H) * size + width)
    if memory == NULL or each == NULL:
        PyMem_Free(memory)
        PyMem_Free(each)
        raise MemoryError
    try:
        for at in range(size):
            set_column(&each[at], columns[at], steps)
    except:
        PyMem_Free(memory)
        PyMem_Free(each)
        raise
    of.at_work = <uint64_t*>memory
    of.of_column = of.at_work + most
    of.sampled = <uint8_t*>(of.of_column + most)
    of.active, of.vetoed, of.known = of.sampled + most, of.sampled + 2 * most, of.sampled + 3 * most
    of.complete = of.known + size * most
    of.whole = of.complete + size
    of.full = of.whole + DAY_H * size
    for at in range(size):
        voters |= each[at].voter
    day, midnight = -1, 0
    memset(of.sampled, 0, most)
    memset(of.sampled, 1, per_hour)
    pack(of.sampled, width, of.full)
    with nogil:
        for hour in range(hours):
            if hour == midnight:  # a day of each column in turn, because going from column to column takes time
                day, midnight = day + 1, min(hours, hour + DAY_H - (first_hour + hour) % DAY_H)
                of_day = -1
                for at in range(size):
                    one = &each[at]
                    into, row = buckets_of(one, day), one.into * to.hours
                    count_whole(one, grid, hour, midnight, into, of.whole + at * DAY_H, to.peak + row, to.seen + row)
            begin = begin_of(&grid, hour)
            here = begin_of(&grid, hour + 1) - begin
            first = begin + offset - hour * per_hour
            of_day += 1
            if here == per_hour and is_plain(each, size, hour, of.whole + of_day, &to):
                to.voters[hour] |= voters
                copy_bits(to.sampled + hour * width, of.full, width)
                copy_bits(to.idle + hour * width, of.full, width)
                continue
            if flagged:
                memset(of.sampled, 0, 3 * most)
            any_whole = any_active = any_vetoed = flagged = False
            for at in range(size):
                one = &each[at]
                row = one.into * to.hours + hour
                if of.whole[at * DAY_H + of_day]:
                    valid, largest = here, to.peak[row]
                else:
                    into = buckets_of(one, day)
                    valid = count_known(one, begin, here, &into, of.known + at * most, &largest)
                    if valid:
                        to.peak[row], to.seen[row] = largest, <uint16_t>valid
                of.complete[at] = valid == here
                if not valid:
                    continue
                to.voters[hour] |= one.voter
                if of.complete[at]:
                    any_whole = True
                else:
                    flagged = True
                    for i in range(here):
                        of.sampled[first + i] |= of.known[at * most + i]
                    if one.voter:
                        any_vetoed = True
                        for i in range(here):
                            of.vetoed[first + i] |= not of.known[at * most + i]
                if one.voter and largest >= one.limit:
                    any_active |= one.activity
                    any_vetoed |= not one.activity
                    reaching(
                        one,
                        begin,
                        here,
                        NULL if of.complete[at] else of.known + at * most,
                        (of.active if one.activity else of.vetoed) + first,
                    )
            flagged |= any_active or any_vetoed or here < per_hour
            if any_whole and flagged:
                memset(of.sampled + first, 1, here)
            if any_whole and here == per_hour:  # most hours: packing takes as long as an hour of one signal
                copy_bits(to.sampled + hour * width, of.full, width)
            else:
                pack(of.sampled, width, to.sampled + hour * width)
            if any_active:
                pack(of.active, width, to.active + hour * width)
                sum_at_work(each, size, begin, here, first, &of, most, &to, hour)
            if any_active or any_vetoed:
                for i in range(most):
                    of.sampled[i] &= (of.active[i] | of.vetoed[i]) ^ 1
                pack(of.sampled, width, to.idle + hour * width)
            else:
                copy_bits(to.idle + hour * width, to.sampled + hour * width, width)
    PyMem_Free(memory)
    PyMem_Free(each)
