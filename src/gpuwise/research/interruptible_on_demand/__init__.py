"""When a job with a deadline runs on spot, runs on on-demand or waits, and where: decided row by row, for many jobs.

`job` is the physics and the safety, `availability` what is believed of spot, `values` and `decide` the choice in one
region, `region_values` and `regions` among several. Forbidden here: to leave a state from which on-demand alone
still meets the deadline.
"""
