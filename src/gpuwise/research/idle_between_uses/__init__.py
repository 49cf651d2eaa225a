"""A wait for each gap of an endpoint, chosen when the gap begins; an activator has one wait for all gaps.

With B the cost of a cold start in idle-GPU-seconds, a gap of g seconds costs at least min(g, B). If the endpoint is
stopped after T seconds, the gap costs g if g <= T and T + B otherwise. `waits` chooses T for every gap from the data
known when the gap began: `features` and `rhythm` describe the earlier behaviour of the endpoint and its fleet, `hazard`
predicts the gap's survival with a fitted model, `own` adds the cost of the endpoint's own earlier gaps, and `guard`
limits the worst case to 2.5 times the optimum.
"""

from gpuwise.research.idle_between_uses.policy import KeepAliveSettings, waits
from gpuwise.research.idle_between_uses.requests import Requests, idle_gaps

__all__ = ["KeepAliveSettings", "Requests", "idle_gaps", "waits"]
