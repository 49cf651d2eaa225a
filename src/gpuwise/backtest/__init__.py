"""How good the decisions are: each policy replayed on a recorded trace beside its baselines, by one contract.

A backtest plays policies of `gpuwise.recommend`. Forbidden here: to let what was measured flow back into them. The
figures follow from trace and decisions alone, so that anyone can recompute them from the file of `--decisions`.
"""
