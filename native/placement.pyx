# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""Chooses the placement of a pod with the least loss; `gpuwise.recommend.engines.node_underutilised._choose_py` is its specification."""

from libc.math cimport INFINITY
from libc.stdint cimport int64_t


cdef inline double stranded(double free, double cpu, double cpu_per_milli) noexcept nogil:
    cdef double without = free - cpu / cpu_per_milli
    return without if without > 0.0 else 0.0


def choose(const int64_t[::1] cpu, const int64_t[::1] memory, const int64_t[::1] models, const int64_t[:, ::1] gpu,
           const int64_t[::1] pod, const double[::1] gain, const double[::1] block, const double[::1] weights):
    """See the Python twin."""
    cdef Py_ssize_t node, device, begin, best = -1, width = gpu.shape[1], rows = gpu.shape[0]
    cdef int64_t free, whole, each
    cdef double score, one, device_best, highest = -INFINITY
    with nogil:
        for node in range(rows):
            if cpu[node] < pod[0] or memory[node] < pod[1] or (pod[3] > 0 and not (models[node] & pod[2])):
                continue
            free, whole, begin, device_best = 0, 0, -1, -INFINITY
            for device in range(width):
                each = gpu[node, device]
                free += each
                whole += each == 1000
            if pod[3] == 0 or pod[4] == 1000:
                if whole < pod[3]:
                    continue
                begin, device_best = 0, block[whole] - block[whole - pod[3]]
            else:
                for device in range(width):
                    each = gpu[node, device]
                    if each < pod[4]:
                        continue
                    one = gain[each] + (block[whole] - block[whole - 1] if each == 1000 else 0.0)
                    if one > device_best:
                        begin, device_best = device, one
                if begin < 0:
                    continue
            score = device_best + weights[0] * (
                stranded(free, cpu[node], weights[1])
                - stranded(free - pod[3] * pod[4], cpu[node] - pod[0], weights[1])
            ) - weights[2] * cpu[node] - weights[3] * free
            if score > highest:
                best, highest = node * width + begin, score
    return best
