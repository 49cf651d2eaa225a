# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""Weighted insert into log-linear buckets, from the bits of a float64; `gpuwise.score._histogram_py` is its specification."""

from libc.stdint cimport int64_t
from libc.string cimport memcpy


def add(const double[::1] values, const double[::1] weights, double[::1] buckets, int64_t base):
    """See the twin."""
    cdef Py_ssize_t i, n = values.shape[0]
    cdef int64_t bits, bucket, last = buckets.shape[0] - 1
    cdef double value
    with nogil:
        for i in range(n):
            value = values[i]
            if not value >= 0.0:  # NaN and negative values alike
                continue
            memcpy(&bits, &value, 8)
            bucket = (bits >> 46) - base
            if bucket < 0:
                bucket = 0
            elif bucket > last:
                bucket = last
            buckets[bucket] += weights[i]
