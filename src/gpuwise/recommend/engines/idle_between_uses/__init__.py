"""How long an endpoint stays warm after its last request: the price of idling against the price of a cold start.

With B the cost of a cold start in idle-GPU-seconds, a gap of g seconds costs min(g, B) at best and, when the endpoint
is stopped after T seconds, g if g <= T and T + B otherwise. `waits` chooses T for every gap from what was known when it
began: `features` and `rhythm` say how the endpoint and its fleet behaved before, `hazard` turns that into the gap's
survival by a fitted model, `own` adds what the endpoint's own gaps cost, and `guard` bounds the worst case at 2.5.
"""

from gpuwise.recommend.engines.idle_between_uses.policy import KeepAliveSettings, waits
from gpuwise.recommend.engines.idle_between_uses.requests import Requests, idle_gaps

__all__ = ["KeepAliveSettings", "Requests", "idle_gaps", "waits"]
