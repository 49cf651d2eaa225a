"""How few GPUs offer the MIG slices that are needed.

`geometry` says how a card can be cut, `pack` what is cut and that no fewer GPUs do, `place` which slice of which GPU
serves whom. Forbidden here: a cut that a card refuses, and a count without the bound that it is held against.
"""
