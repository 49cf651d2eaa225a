"""Decides step by step in which region a job with a deadline runs on spot, and when it uses on-demand or waits.

`region_values` and `regions` have the choice among several regions. The job, the model of availability and the choice
in one region are engines: `gpuwise.recommend.engines.interruptible_on_demand`. Every choice must keep the job in a
state from which on-demand alone still meets the deadline.
"""
