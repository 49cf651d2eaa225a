"""How good the decisions are: replays each policy and its baselines on recorded traces, with one contract for all.

A backtest replays policies of `gpuwise.recommend` and `gpuwise.research`. Its measurements must not flow back into
them. All figures follow from trace and decisions alone, so that anyone can recompute them from the `--decisions` file.
"""
