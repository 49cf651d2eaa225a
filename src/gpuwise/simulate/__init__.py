"""A simulated fleet: a statistical model of workloads whose utilisation fits published fleets.

Forbidden here: unseeded randomness, and anything that only the tests of one recommender need.
"""

from gpuwise.simulate.fleet import SimulatedFleet, simulate_fleet
from gpuwise.simulate.settings import FleetSettings

__all__ = ["FleetSettings", "SimulatedFleet", "simulate_fleet"]
