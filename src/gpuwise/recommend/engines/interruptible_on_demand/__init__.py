"""What interruptions cost, and what a job with a deadline runs on until the next pass.

`reclaims` and `checkpoint` have the expected loss of work that tolerates a reclaim. `job` has the effect and the safety
of a step, `availability` and `prior` the model of spot availability, `grid` and `values` the expected cost to go, and
`decide` the choice among waiting, spot and on-demand. Every choice must keep a job in a state from which on-demand
alone still meets the deadline.
"""
