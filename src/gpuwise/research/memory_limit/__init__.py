"""How much GPU memory a pod gets for the next hour: weighs unused memory against the probability of an overrun.

`history` describes the pod's past memory use, `chance` predicts with a fitted model the probability that the next
hour's peak exceeds a candidate limit, and `policy` chooses the candidate with the lowest expected cost.
`budget` raises or lowers the cost of an overrun with the overruns of the fleet so far.
"""

from gpuwise.research.memory_limit.history import Usage
from gpuwise.research.memory_limit.policy import MemoryLimitSettings, fleet_limits, memory_limits

__all__ = ["MemoryLimitSettings", "Usage", "fleet_limits", "memory_limits"]
