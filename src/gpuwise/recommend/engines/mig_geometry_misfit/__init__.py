"""The fewest GPUs that offer the MIG slices that are needed.

`geometry` lists the MIG geometries of a GPU; `pack` chooses among them and proves that fewer GPUs do not suffice.
"""
