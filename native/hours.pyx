# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""A column of samples, counted and summed hour by hour; `gpuwise.score._hours_py` is its specification."""

from libc.math cimport NAN
from libc.stdint cimport int64_t, uint8_t, uint32_t
from libc.string cimport memcpy

ctypedef fused sample:
    float
    double

cdef struct Hour:
    double peak, busy_sum
    int64_t known, busy_known


cdef inline Hour fold_hour(const sample* column, const uint8_t* busy, Py_ssize_t steps, double highest, bint whole,
                           int64_t base, int64_t last, uint32_t* row) noexcept nogil:
    """Fold one hour; `whole` and `row` are constants of each call, so the compiler removes redundant checks."""
    cdef Py_ssize_t i
    cdef int64_t bits, bucket, known = 0, busy_known = 0
    cdef double value, peak = -1.0, busy_sum = 0.0
    for i in range(steps):
        value = column[i] + 0.0  # -0.0 is 0.0
        if not whole and not (value >= 0.0 and value <= highest):  # NaN too
            continue
        known += 1
        peak = value if value > peak else peak
        if busy[i]:  # bursts last many steps, so this branch is predicted well
            busy_sum += value
            busy_known += 1
        if row != NULL:
            memcpy(&bits, &value, 8)
            bucket = (bits >> 46) - base
            bucket = 0 if bucket < 0 else bucket
            row[last if bucket > last else bucket] += 1
    return Hour(peak if known else NAN, busy_sum, known, busy_known)


def fold(const sample[::1] column, const uint8_t[::1] busy, double highest, bint whole, Py_ssize_t offset,
         Py_ssize_t per_hour, Py_ssize_t first_hour, int64_t base, uint32_t[:, ::1] counts, double[:, :] hours):
    """See the Python twin."""
    cdef Py_ssize_t hour, begin, steps, n = column.shape[0]
    cdef int64_t last = counts.shape[1] - 1
    cdef uint32_t* row = NULL
    cdef Hour one
    with nogil:
        for hour in range((n + offset + per_hour - 1) // per_hour):
            begin = max(0, hour * per_hour - offset)
            steps = min(n, (hour + 1) * per_hour - offset) - begin
            if last >= 0:
                row = &counts[(first_hour + hour) // 24 - first_hour // 24, 0]
            if row == NULL:
                one = fold_hour(&column[begin], &busy[begin], steps, highest, False, base, last, NULL)
            elif whole:
                one = fold_hour(&column[begin], &busy[begin], steps, highest, True, base, last, row)
            else:
                one = fold_hour(&column[begin], &busy[begin], steps, highest, False, base, last, row)
            hours[0, hour], hours[1, hour] = one.peak, one.known
            hours[2, hour], hours[3, hour] = one.busy_sum, one.busy_known
