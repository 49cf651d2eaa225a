"""Decides step by step whether a job with a deadline runs on spot, runs on on-demand or waits, and in which region.

`job` has the effect and the safety of a step, `availability` the model of spot availability, `values` and `decide` the
choice in one region, `region_values` and `regions` the choice among several regions. Every choice must keep the job in
a state from which on-demand alone still meets the deadline.
"""
