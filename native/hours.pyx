# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""A column of samples, counted and summed hour by hour; `gpuwise.score._hours_py` is its specification."""

from libc.math cimport NAN
from libc.stdint cimport int64_t, uint8_t, uint32_t
from libc.string cimport memcpy

ctypedef fused sample:
    float
    double


def fold(const sample[::1] column, const uint8_t[::1] busy, double highest, Py_ssize_t offset, Py_ssize_t per_hour,
         Py_ssize_t first_hour, int64_t base, uint32_t[:, ::1] counts, double[:, :] hours):
    """See the twin."""
    cdef Py_ssize_t i, hour, n = column.shape[0]
    cdef uint32_t *row = NULL
    cdef int64_t bits, bucket, last = counts.shape[1] - 1
    cdef double value, peak, busy_sum
    cdef int64_t known, busy_known
    with nogil:
        for hour in range((n + offset + per_hour - 1) // per_hour):
            if last >= 0:
                row = &counts[(first_hour + hour) // 24 - first_hour // 24, 0]
            peak, busy_sum, known, busy_known = -1.0, 0.0, 0, 0
            for i in range(max(0, hour * per_hour - offset), min(n, (hour + 1) * per_hour - offset)):
                value = column[i] + 0.0  # -0.0 is 0.0
                if not (value >= 0.0 and value <= highest):  # NaN too
                    continue
                known += 1
                peak = value if value > peak else peak
                if busy[i]:  # bursts last many steps, so this branch is told well beforehand
                    busy_sum += value
                    busy_known += 1
                if last >= 0:
                    memcpy(&bits, &value, 8)
                    bucket = (bits >> 46) - base
                    bucket = 0 if bucket < 0 else bucket
                    row[last if bucket > last else bucket] += 1
            hours[0, hour] = peak if known else NAN
            hours[1, hour], hours[2, hour], hours[3, hour] = known, busy_sum, busy_known
