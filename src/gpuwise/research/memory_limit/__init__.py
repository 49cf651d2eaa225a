"""How much GPU memory a pod is given for the next hour: what is held too much against the chance of an overrun.

`features` describes a candidate limit beside what the pod held before, `chance` turns that into the probability that
the next hour's peak exceeds it by a fitted model, and `policy` takes the candidate of least expected cost.
"""

from gpuwise.research.memory_limit.history import Usage
from gpuwise.research.memory_limit.policy import MemoryLimitSettings, memory_limits

__all__ = ["MemoryLimitSettings", "Usage", "memory_limits"]
