"""How good the decisions are: replays each policy and its baselines on recorded traces, with one contract for all.

A backtest replays policies of `gpuwise.recommend` and `gpuwise.research`. Forbidden here: that measurements flow back
into them. All figures follow from trace and decisions alone, so that anyone can recompute them from the file of
`--decisions`.
"""
