"""A simulated fleet: a statistical model of workloads whose utilisation fits published fleets.

Forbidden here: unseeded randomness, and anything that only the tests of one recommender need.
"""
