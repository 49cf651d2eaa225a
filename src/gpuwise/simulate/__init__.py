"""Simulated fleets: a statistical model of workloads, fitted to published fleets; and a large, cheap one.

Forbidden here: unseeded randomness, and anything that only the tests of one recommender need.
"""

from gpuwise.simulate.fleet import SimulatedFleet, simulate_fleet
from gpuwise.simulate.settings import FleetSettings
from gpuwise.simulate.synthetic import SyntheticFleet

__all__ = ["FleetSettings", "SimulatedFleet", "SyntheticFleet", "simulate_fleet"]
