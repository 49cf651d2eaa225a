"""Sums in which the past fades."""

import numpy as np

from gpuwise.recommend.engines.idle_between_uses.requests import Floats

# Rows summed by one product of matrices; scipy.signal.lfilter does the same, but takes 2 s to import.
_BLOCK = 64


def decayed_sums(rows: Floats, memory: float) -> Floats:
    """Sums of the rows up to and with each one, an earlier row weighing `memory` less with each later.

    Args:
        rows: shape (n, columns).
        memory: from 0 to 1.
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
