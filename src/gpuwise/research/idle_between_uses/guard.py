"""A bound on the worst case: no endpoint ever costs more than 2.5 times the clairvoyant optimum.

Theorem. Let Phi be 2.5 x (sum of min(g, B)) - (sum of costs) over an endpoint's finished gaps, and let each wait T lie
in [max(0, (B - Phi) / 1.5), 1.5 B + Phi]. Then Phi >= 0 after every gap, so cost <= 2.5 x optimum at every prefix of
any gaps. Proof by induction from Phi = 0; a gap g changes Phi by

- g <= B, g <= T: 2.5 g - g >= 0;
- B < g <= T:     2.5 B - g >= 2.5 B - T >= B - Phi > -Phi;
- T < g, T < B:   2.5 min(g, B) - T - B >= 1.5 T - B >= -Phi, by the lower end;
- T < g, T >= B:  2.5 B - T - B = 1.5 B - T >= -Phi, by the upper end.

The interval is never empty: (B - Phi) / 1.5 <= B <= 1.5 B + Phi. It is also the widest that keeps Phi >= 0 for every
gap. A deterministic rule cannot guarantee less than 2 (Karlin et al., "Competitive snoopy caching", 1988); the margin
between 2 and 2.5 lets the policy follow the data where that saves more.
"""

import numpy as np

from gpuwise.research.idle_between_uses.requests import Floats

WORST_RATIO = 2.5
"""Upper bound on the cost, as a multiple of the clairvoyant optimum."""


def guarded(waits_s: Floats, gap_s: Floats, cold_start_cost_s: float) -> Floats:
    """Clamp each wait, in order, to the interval that the earlier gaps allow.

    Args:
        waits_s: the wanted waits, in the order of the gaps, shape (n,).
        gap_s: how long the gaps lasted; the last is infinite if it is still open.
        cold_start_cost_s: B.
    """
    bank, allowed = 0.0, np.empty(len(waits_s))
    for index, (wanted_s, lasted_s) in enumerate(zip(waits_s.tolist(), gap_s.tolist(), strict=True)):
        wait_s = _clamped(wanted_s, bank, cold_start_cost_s)
        allowed[index] = wait_s
        bank += WORST_RATIO * min(lasted_s, cold_start_cost_s) - gap_cost(lasted_s, wait_s, cold_start_cost_s)
        bank = max(bank, 0.0)  # true by the theorem, but rounding may violate it
    return allowed


def _clamped(wanted_s: float, bank: float, cold_start_cost_s: float) -> float:
    spare = WORST_RATIO - 1
    return min(max(wanted_s, (cold_start_cost_s - bank) / spare), spare * cold_start_cost_s + bank)


def gap_cost(gap_s: float, wait_s: float, cold_start_cost_s: float) -> float:
    """Idle seconds in one gap, plus a cold start if the gap outlasts the wait."""
    return gap_s if gap_s <= wait_s else wait_s + cold_start_cost_s
