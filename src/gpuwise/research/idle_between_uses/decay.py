"""Exponentially decayed sums."""

import numpy as np

from gpuwise.research.idle_between_uses.requests import Floats

# Rows summed by one matrix product. scipy.signal.lfilter would do the same, but takes 2 s to import.
_BLOCK = 64


def decayed_sums(rows: Floats, memory: float) -> Floats:
    """For each row, the sum of the rows up to and including it; a row's weight is multiplied by `memory` per later row.

    Args:
        rows: shape (n, columns).
        memory: 0 to 1.
    """
    steps = np.arange(_BLOCK)
    weights = np.tril(memory ** np.maximum(steps[:, None] - steps, 0))
    fading = memory ** (steps + 1.0)
    sums, carry = np.empty_like(rows), np.zeros(rows.shape[1])
    for start in range(0, len(rows), _BLOCK):
        block = rows[start : start + _BLOCK]
        size = len(block)
        sums[start : start + size] = weights[:size, :size] @ block + fading[:size, None] * carry
        carry = sums[start + size - 1]
    return sums
