"""How active the devices of a workload were, in ten equal steps."""

import numpy as np

from gpuwise.model.profile import Distribution
from gpuwise.model.use import TENTHS


def tenths(activity: Distribution) -> tuple[float, ...]:
    """The share of the weight of an activity ratio by its tenths, from below 0.1 to 0.9 and more; () without samples.

    Args:
        activity: distribution of a ratio from 0 to 1.
    """
    if not activity.values.size:
        return ()
    numbers = np.minimum((activity.values * TENTHS).astype(np.int64), TENTHS - 1)
    weights = np.bincount(numbers, weights=activity.weights, minlength=TENTHS)
    return tuple((weights / np.add.accumulate(weights)[-1]).tolist())
