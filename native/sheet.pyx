# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""The devices of a workload, summarised and arranged on its steps; `gpuwise.score._sheet_py` is the specification."""

import numpy

from cpython.buffer cimport PyBUF_ANY_CONTIGUOUS, PyBUF_STRIDES, PyBuffer_Release, PyObject_GetBuffer
from cpython.mem cimport PyMem_Calloc, PyMem_Free, PyMem_Malloc
from libc.math cimport NAN
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcmp, memcpy, memset

cdef extern from *:
    int popcount "__builtin_popcountll"(uint64_t) nogil

cdef enum:
    DAY_H = 24
    BY_DAY = 4  # allocated, idle and active steps, hours without a sample
    PLANES = 16  # bits of the largest number of devices of a pod
    DAILY = 6
    WEEK_H = 168
    THURSDAY = 72  # hour 0 of the epoch


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


cdef struct Column:
    const char* start
    Py_ssize_t by_hour, by_signal  # distance of the items, bytes


cdef Column column_of(rows, name, Py_ssize_t hours, Py_ssize_t wide, Py_ssize_t itemsize) except *:
    """A column of rows in any order of memory; its items may be at any address."""
    cdef Py_buffer view
    cdef Column found
    PyObject_GetBuffer(rows[name], &view, PyBUF_STRIDES)
    cdef bint fits = view.itemsize == itemsize and view.shape[0] == hours and view.ndim == (2 if wide else 1)
    if fits:
        found.start, found.by_hour = <const char*>view.buf, view.strides[0]
        found.by_signal = view.strides[1] if wide else 0
        fits = not wide or view.shape[1] == wide
    PyBuffer_Release(&view)
    if not fits:
        raise ValueError(f"{name} does not have {hours} hours of {max(1, wide)} items of {itemsize} bytes")
    return found


cdef inline double double_at(const Column* of, Py_ssize_t hour, Py_ssize_t signal) noexcept nogil:
    cdef double value
    memcpy(&value, of.start + hour * of.by_hour + signal * of.by_signal, 8)
    return value


cdef inline uint16_t short_at(const Column* of, Py_ssize_t hour, Py_ssize_t signal) noexcept nogil:
    cdef uint16_t value
    memcpy(&value, of.start + hour * of.by_hour + signal * of.by_signal, 2)
    return value


cdef inline uint8_t byte_at(const Column* of, Py_ssize_t hour, Py_ssize_t byte) noexcept nogil:
    return (<const uint8_t*>of.start)[hour * of.by_hour + byte * of.by_signal]


cdef int64_t set_bits(const uint8_t* bits, Py_ssize_t size) noexcept nogil:
    """How many bits of some bytes are set."""
    cdef Py_ssize_t at = 0
    cdef int64_t found = 0
    cdef uint64_t eight
    while at + 8 <= size:
        memcpy(&eight, bits + at, 8)
        found += popcount(eight)
        at += 8
    for at in range(at, size):
        found += popcount(bits[at])
    return found


cdef inline double larger(double first, double second) noexcept nogil:
    """The larger one; NaN only if both are."""
    return second if second > first or first != first else first


def summarise(rows, Py_ssize_t first_hour, int activity_bits, Py_ssize_t memory_signal, Py_ssize_t sm_signal):
    """See the Python twin."""
    cdef Py_ssize_t hours = rows["voters"].shape[0], wide = rows["seen"].shape[1], width = rows["idle"].shape[1]
    cdef Py_ssize_t start = first_hour % DAY_H, days = (start + hours + DAY_H - 1) // DAY_H
    cdef Py_ssize_t hour, at, day, first = 0, last = 0, signal
    cdef int64_t dropped = 0
    cdef uint32_t one
    cdef uint8_t voters = 0, bits, every
    cdef double value
    if not hours:
        raise ValueError("there is no hour to summarise")
    cdef Column sampled_ = column_of(rows, "sampled", hours, width, 1), idle_ = column_of(rows, "idle", hours, width, 1)
    cdef Column active_ = column_of(rows, "active", hours, width, 1), voters_ = column_of(rows, "voters", hours, 0, 1)
    cdef Column dropped_ = column_of(rows, "dropped", hours, 0, 4), peak_ = column_of(rows, "peak", hours, wide, 8)
    cdef Column seen_ = column_of(rows, "seen", hours, wide, 2), sum_ = column_of(rows, "busy_sum", hours, wide, 8)
    cdef Column busy_ = column_of(rows, "busy_seen", hours, wide, 2), watts_ = column_of(rows, "watts", hours, 0, 8)
    cdef Column powered_ = column_of(rows, "powered", hours, 0, 2), sm_ = column_of(rows, "sm", hours, 0, 8)
    cdef Column own_ = column_of(rows, "own", hours, 0, 8), owned_ = column_of(rows, "owned", hours, 0, 2)
    if active_.by_signal != 1:
        raise ValueError("the bytes of an hour are not adjacent")
    idle, active = numpy.empty((hours, width), numpy.uint8), numpy.empty(hours, numpy.uint16)
    sampled, numbers = numpy.empty(hours, bool), numpy.empty((2, wide))
    counts, memory, measures = numpy.empty((2, wide), numpy.int64), numpy.empty(days), numpy.zeros((days, DAILY))
    cdef uint8_t* idle_bits = <uint8_t*>memory_of(idle, hours * width, 1)
    cdef uint8_t* any_sampled = <uint8_t*>memory_of(sampled, hours, 1)
    cdef uint16_t* active_steps = <uint16_t*>memory_of(active, hours, 2)
    cdef double* highest = <double*>memory_of(numbers, 2 * wide, 8)
    cdef double* busy_sum = highest + wide
    cdef int64_t* seen = <int64_t*>memory_of(counts, 2 * wide, 8)
    cdef int64_t* busy_seen = seen + wide
    cdef double* of_memory = <double*>memory_of(memory, days, 8)
    cdef double* of_day = <double*>memory_of(measures, days * DAILY, 8)
    with nogil:
        for hour in range(hours):
            voters |= byte_at(&voters_, hour, 0)
            memcpy(&one, dropped_.start + hour * dropped_.by_hour, 4)
            dropped += one
        for hour in range(hours):
            bits = 0
            # An hour without any sample of a signal that the device reports in other hours is a gap, not idle.
            every = 255 if voters & activity_bits and byte_at(&voters_, hour, 0) == voters else 0
            for at in range(width):
                idle_bits[hour * width + at] = byte_at(&idle_, hour, at) & every
                bits |= byte_at(&sampled_, hour, at)
            any_sampled[hour] = bits != 0
            active_steps[hour] = <uint16_t>set_bits(<const uint8_t*>active_.start + hour * active_.by_hour, width)
        while first < 8 * width and not byte_at(&sampled_, 0, first // 8) >> (7 - first % 8) & 1:
            first += 1
        last = 8 * width
        while last > 0 and not byte_at(&sampled_, hours - 1, (last - 1) // 8) >> (7 - (last - 1) % 8) & 1:
            last -= 1
        for signal in range(wide):
            highest[signal], seen[signal], busy_seen[signal] = NAN, 0, 0
            busy_sum[signal] = double_at(&sum_, 0, signal)
            for hour in range(hours):
                highest[signal] = larger(highest[signal], double_at(&peak_, hour, signal))
                seen[signal] += short_at(&seen_, hour, signal)
                busy_seen[signal] += short_at(&busy_, hour, signal)
            for hour in range(1, hours):
                busy_sum[signal] += double_at(&sum_, hour, signal)
        for day in range(days):
            of_memory[day] = NAN
        for hour in range(hours):
            day = (start + hour) // DAY_H
            of_memory[day] = larger(of_memory[day], double_at(&peak_, hour, memory_signal))
            of_day[day * DAILY] += double_at(&watts_, hour, 0)
            of_day[day * DAILY + 1] += short_at(&powered_, hour, 0)
            of_day[day * DAILY + 2] += double_at(&sm_, hour, 0)
            of_day[day * DAILY + 3] += short_at(&seen_, hour, sm_signal)
            of_day[day * DAILY + 4] += double_at(&own_, hour, 0)
            of_day[day * DAILY + 5] += short_at(&owned_, hour, 0)
    return (first, last, voters, idle, active, sampled, numbers, counts, memory, measures, dropped)


cdef struct Device:
    Py_ssize_t hour, hours, start, end
    const uint8_t* idle
    const uint16_t* active
    const uint8_t* sampled
    int64_t pod
    double gpus_per_step


cdef void set_device(Device* to, one, Py_ssize_t width, Py_ssize_t hours, Py_ssize_t steps,
                     Py_ssize_t pods) except *:
    to.hour, idle, active, sampled, to.start, to.end, to.pod, to.gpus_per_step = one
    to.hours = active.shape[0]
    if to.hour < 0 or to.hour + to.hours > hours or not 0 <= to.start <= to.end <= steps:
        raise ValueError(f"hours {to.hour} to {to.hour + to.hours}, steps {to.start} to {to.end} are not all on the sheet")
    if not 0 <= to.pod < pods:
        raise ValueError(f"pod {to.pod} of {pods}")
    if to.hours:
        to.idle = <const uint8_t*>memory_of(idle, to.hours * width, 1)
        to.active = <const uint16_t*>memory_of(active, to.hours, 2)
        to.sampled = <const uint8_t*>memory_of(sampled, to.hours, 1)


cdef inline bint is_set(const uint8_t* bits, Py_ssize_t step) noexcept nogil:
    return bits[step >> 3] >> (7 - (step & 7)) & 1


cdef inline bint is_same(const uint8_t* bits, const uint8_t* other, Py_ssize_t width) noexcept nogil:
    cdef uint64_t first, second
    if width != 8:
        return memcmp(bits, other, width) == 0
    memcpy(&first, bits, 8)  # steps of a minute: two instructions instead of a call
    memcpy(&second, other, 8)
    return first == second


cdef Py_ssize_t find_runs(const uint8_t* bits, Py_ssize_t first, Py_ssize_t hours, Py_ssize_t per_hour,
                          Py_ssize_t width, const uint8_t* full, const uint8_t* none, Py_ssize_t at_least,
                          int64_t* edges) noexcept nogil:
    """Write the first step and the step after the last one of each long run of set bits; returns how many edges."""
    cdef Py_ssize_t hour, step, found = 0, begin = -1
    cdef const uint8_t* here
    for hour in range(hours):
        here = bits + hour * width
        if is_same(here, none if begin < 0 else full, width):
            continue  # as most hours
        for step in range(per_hour):
            if is_set(here, step):
                if begin < 0:
                    begin = hour * per_hour + step
            elif begin >= 0:
                if hour * per_hour + step - begin >= at_least:
                    edges[found], edges[found + 1] = first + begin, first + hour * per_hour + step
                    found += 2
                begin = -1
    if begin >= 0 and hours * per_hour - begin >= at_least:
        edges[found], edges[found + 1] = first + begin, first + hours * per_hour
        found += 2
    return found


cdef void add_steps(const int64_t* edges, Py_ssize_t size, Py_ssize_t before, Py_ssize_t each, int64_t* to) noexcept nogil:
    """Add the steps of runs to the spans of `each` steps that they are in; the first span began `before` steps earlier."""
    cdef Py_ssize_t at, span
    cdef int64_t step, until
    for at in range(0, size, 2):
        step, until = edges[at] + before, edges[at + 1] + before
        span = step // each
        while step < until:
            to[span] += min(until, (span + 1) * each) - step
            span += 1
            step = span * each


cdef void add_allocated(const Device* one, Py_ssize_t before, Py_ssize_t each, int64_t* to) noexcept nogil:
    cdef int64_t[2] edges
    edges[0], edges[1] = one.start, one.end
    add_steps(edges, 2, before, each, to)


cdef void set_steps(uint8_t* bits, Py_ssize_t start, Py_ssize_t end, Py_ssize_t per_hour, Py_ssize_t width,
                    const uint8_t* full) noexcept nogil:
    """Set the bits of some steps; `full` has the bits of all steps of all hours."""
    cdef Py_ssize_t byte, step = start, whole = end // per_hour
    while step < end and (step % per_hour or step // per_hour >= whole):
        bits[step // per_hour * width + (step % per_hour >> 3)] |= 128 >> (step % per_hour & 7)
        step += 1
    if step < end:
        memcpy(bits + step // per_hour * width, full, (whole - step // per_hour) * width)
        for step in range(whole * per_hour, end):
            bits[step // per_hour * width + (step % per_hour >> 3)] |= 128 >> (step % per_hour & 7)


cdef void count_hours(const Device* one, Py_ssize_t before, Py_ssize_t days, int64_t* active, int64_t* unsampled,
                      double* gpus) noexcept nogil:
    """Add the hours of a device to the numbers of their days, and to the GPUs that were busy in each."""
    cdef Py_ssize_t hour, day = (before + one.hour) // DAY_H, until
    hour = 0
    while hour < one.hours:
        until = min(one.hours, (day + 1) * DAY_H - before - one.hour)
        for hour in range(hour, until):
            active[day] += one.active[hour]
            unsampled[day] += not one.sampled[hour]
            gpus[one.hour + hour] += one.active[hour] * one.gpus_per_step
        hour, day = until, day + 1


cdef int64_t most_at_once(const uint8_t* busy, const int64_t* next_, Py_ssize_t first, Py_ssize_t size) noexcept nogil:
    """The largest number of devices of a pod that are busy at the same step; `size` bytes of bits for each device."""
    cdef Py_ssize_t word, device, plane
    cdef uint64_t[PLANES] planes
    cdef uint64_t carry, both, among
    cdef int64_t most = 0, here
    for word in range(0, size, 8):
        memset(planes, 0, sizeof(planes))
        device = first
        while device >= 0:
            memcpy(&carry, busy + device * size + word, 8)
            plane = 0
            while carry and plane < PLANES:  # adds 1 to the number of each step; a plane has one bit of the numbers
                both = planes[plane] & carry
                planes[plane] ^= carry
                carry = both
                plane += 1
            device = next_[device]
        among, here = <uint64_t>-1, 0
        for plane in range(PLANES - 1, -1, -1):
            if among & planes[plane]:
                among &= planes[plane]
                here |= <int64_t>1 << plane
        most = max(most, here)
    return most


cdef int64_t most_of_a_pod(const Device* each, Py_ssize_t size, const uint8_t* busy, Py_ssize_t bytes_,
                           int64_t* next_, int64_t* first) noexcept nogil:
    """The largest number of any pod; `next_` and `first` have space for a number for each device."""
    cdef Py_ssize_t at
    cdef int64_t most = 0
    for at in range(size):
        first[at] = -1
    for at in range(size - 1, -1, -1):
        next_[at] = first[each[at].pod]
        first[each[at].pod] = at
    for at in range(size):
        if first[at] >= 0:
            most = max(most, most_at_once(busy, next_, first[at], bytes_))
    return most


def arrange(devices, silent, Py_ssize_t hours, Py_ssize_t per_hour, Py_ssize_t first_hour, Py_ssize_t at_least):
    """See the Python twin."""
    cdef Py_ssize_t size = len(devices), width = (per_hour + 7) // 8, steps = hours * per_hour
    cdef Py_ssize_t before = first_hour % DAY_H, days = (before + hours + DAY_H - 1) // DAY_H
    cdef Py_ssize_t bytes_ = (hours * width + 7) // 8 * 8, at_most = 2 * (steps // (at_least + 1) + 1)
    cdef Py_ssize_t at, hour, own, found = 0, silent_hour = 0, silent_hours = 0
    cdef bint asks = silent is not None
    cdef int64_t most_busy = 0
    cdef const uint8_t* silent_bits = NULL
    cdef int64_t* lengths
    cdef int64_t* of_this
    cdef uint8_t* allocated
    cdef uint8_t* quiet
    cdef uint8_t* full
    cdef uint8_t* none
    cdef uint8_t* own_busy
    cdef Device* one
    if at_least < 1 or size >= 1 << PLANES:
        raise ValueError(f"runs of at least {at_least} steps of {size} devices")
    table, by_hour = numpy.zeros((size, BY_DAY, days), numpy.int64), numpy.zeros(hours, numpy.int64)
    busy_gpus, idle_steps = numpy.zeros(hours), numpy.zeros(size, numpy.int64)
    cdef int64_t* of_day = <int64_t*>memory_of(table, size * BY_DAY * days, 8)
    cdef int64_t* quiet_of_hour = <int64_t*>memory_of(by_hour, hours, 8)
    cdef double* gpus = <double*>memory_of(busy_gpus, hours, 8)
    cdef int64_t* idle = <int64_t*>memory_of(idle_steps, size, 8)
    if asks:
        silent_hour, bits = silent
        silent_hours = bits.shape[0]
        if silent_hours:
            bits = numpy.ascontiguousarray(bits)
            silent_bits = <const uint8_t*>memory_of(bits, silent_hours * width, 1)
        if silent_hours and (silent_hour < 0 or silent_hour + silent_hours > hours):
            raise ValueError("the requests are not all on the sheet")
    cdef Device* each = <Device*>PyMem_Calloc(size + 1, sizeof(Device))
    cdef int64_t* edges = <int64_t*>PyMem_Malloc((size + 1) * (at_most + 3) * 8)
    cdef uint8_t* busy = <uint8_t*>PyMem_Calloc(size + 4, bytes_ + 1)
    try:
        if each == NULL or edges == NULL or busy == NULL:
            raise MemoryError
        for at in range(size):
            set_device(&each[at], devices[at], width, hours, steps, size)
        lengths, allocated, quiet = edges + (size + 1) * at_most, busy + size * bytes_, busy + (size + 1) * bytes_
        full, none = busy + (size + 2) * bytes_, busy + (size + 3) * bytes_
        with nogil:
            for at in range(per_hour):
                full[at >> 3] |= 128 >> (at & 7)
            for hour in range(1, hours):
                memcpy(full + hour * width, full, width)
            for at in range(size):
                one, of_this = &each[at], of_day + at * BY_DAY * days
                lengths[at] = find_runs(one.idle, one.hour * per_hour, one.hours, per_hour, width, full, none, at_least,
                                        edges + found)
                add_allocated(one, before * per_hour, DAY_H * per_hour, of_this)
                add_steps(edges + found, lengths[at], before * per_hour, DAY_H * per_hour, of_this + days)
                found += lengths[at]
                count_hours(one, before, days, of_this + 2 * days, of_this + 3 * days, gpus)
                idle[at] = set_bits(one.idle, one.hours * width)
                own_busy = busy + at * bytes_
                set_steps(own_busy, one.start, one.end, per_hour, width, full)
                for hour in range(bytes_):
                    allocated[hour] |= own_busy[hour]
                for hour in range(one.hours * width):
                    own_busy[one.hour * width + hour] &= ~one.idle[hour]
                for hour in range(bytes_):
                    quiet[hour] |= own_busy[hour]
            for hour in range(bytes_):
                quiet[hour] = allocated[hour] & ~quiet[hour]
            if asks:
                for hour in range(hours * width):
                    own = hour - silent_hour * width
                    quiet[hour] &= silent_bits[own] if 0 <= own < silent_hours * width else 0
            lengths[size] = find_runs(quiet, 0, hours, per_hour, width, full, none, at_least, edges + found)
            add_steps(edges + found, lengths[size], 0, per_hour, quiet_of_hour)
            most_busy = most_of_a_pod(each, size, busy, bytes_, lengths + size + 1, lengths + 2 * size + 1)
        every = numpy.empty(found + lengths[size], numpy.int64)
        memcpy(memory_of(every, found + lengths[size], 8), edges, (found + lengths[size]) * 8)
        found, runs = 0, []
        for at in range(size + 1):
            runs.append(every[found : found + lengths[at]])
            found += lengths[at]
        return runs, table, idle_steps, by_hour, busy_gpus, most_busy
    finally:
        PyMem_Free(each)
        PyMem_Free(edges)
        PyMem_Free(busy)


def add_today(before, today, midpoints):
    """See the Python twin."""
    cdef Py_ssize_t size = midpoints.shape[0], at, found = 0, occupied = 0
    cdef const uint32_t* counts = NULL
    cdef const double* middle = <const double*>memory_of(midpoints, size, 8)
    cdef const double* weights = NULL
    cdef const uint16_t* narrow = NULL
    cdef const int64_t* wide = NULL
    cdef double* of_values
    cdef double* of_sums
    if today is not None:
        counts = <const uint32_t*>memory_of(today, size, 4)
    if before is not None:
        buckets, known = before
        occupied = buckets.shape[0]
        weights = <const double*>memory_of(known, occupied, 8)
        if buckets.itemsize == 2:
            narrow = <const uint16_t*>memory_of(buckets, occupied, 2)
        else:
            wide = <const int64_t*>memory_of(buckets, occupied, 8)
        for at in range(occupied):
            if not 0 <= (narrow[at] if narrow != NULL else wide[at]) < size:
                raise ValueError(f"bucket {buckets[at]} of {size}")
    cdef double* sums = <double*>PyMem_Calloc(size + 1, sizeof(double))
    if sums == NULL:
        raise MemoryError
    try:
        with nogil:
            if counts != NULL:
                for at in range(size):
                    sums[at] = counts[at]
            for at in range(occupied):
                sums[narrow[at] if narrow != NULL else wide[at]] += weights[at]
            for at in range(size):
                found += sums[at] != 0.0
        values, total = numpy.empty(found), numpy.empty(found)
        of_values, of_sums = <double*>memory_of(values, found, 8), <double*>memory_of(total, found, 8)
        with nogil:
            found = 0
            for at in range(size):
                if sums[at] != 0.0:
                    of_values[found], of_sums[found] = middle[at], sums[at]
                    found += 1
        return values, total
    finally:
        PyMem_Free(sums)


def by_hour_of_week(idle_steps, busy_gpus, asked, weights, Py_ssize_t first_hour, whole, Py_ssize_t per_hour,
                    double full):
    """See the Python twin."""
    cdef Py_ssize_t hours = busy_gpus.shape[0], hour, of_week = (first_hour + THURSDAY) % WEEK_H, asked_hour = 0
    cdef Py_ssize_t asked_hours = 0, whole_from, whole_to
    cdef bint used, known, idle_before = False, after
    cdef double weight
    cdef const double* gpus = <const double*>memory_of(busy_gpus, hours, 8)
    cdef const int64_t* idle = <const int64_t*>memory_of(idle_steps, hours, 8)
    cdef const double* of_hour = <const double*>memory_of(weights, hours, 8)
    cdef Column requests
    table, unused_weeks = numpy.zeros((5, WEEK_H)), numpy.zeros(WEEK_H, numpy.int64)
    cdef double* observed = <double*>memory_of(table, 5 * WEEK_H, 8)
    cdef int64_t* unused = <int64_t*>memory_of(unused_weeks, WEEK_H, 8)
    whole_from, whole_to = whole
    if asked is not None:
        asked_hour, totals = asked
        asked_hours = totals.shape[0]
        requests = column_of({"total": totals}, "total", asked_hours, 0, 8)
    with nogil:
        for hour in range(hours):
            weight = of_hour[hour]
            used = gpus[hour] > 0.0
            if asked_hour <= hour < asked_hour + asked_hours:
                used |= double_at(&requests, hour - asked_hour, 0) > 0.0
            known = used or <double>idle[hour] / <double>per_hour >= full
            after = known and idle_before
            if known:
                observed[of_week] += weight
                observed[4 * WEEK_H + of_week] += gpus[hour] * weight
            if used:
                observed[WEEK_H + of_week] += weight
            if after:
                observed[2 * WEEK_H + of_week] += weight
                if used:
                    observed[3 * WEEK_H + of_week] += weight
            if used or (whole_from <= hour < whole_to and not known):
                unused[of_week] = -1
            elif known and unused[of_week] >= 0:
                unused[of_week] += 1
            idle_before = known and not used
            of_week = of_week + 1 if of_week + 1 < WEEK_H else 0
        for of_week in range(WEEK_H):
            unused[of_week] = max(0, unused[of_week])
            if observed[of_week] > 0.0:
                observed[4 * WEEK_H + of_week] /= observed[of_week]
            else:
                observed[4 * WEEK_H + of_week] = NAN
    return table, unused_weeks
