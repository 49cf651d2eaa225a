"""The fewest GPUs that offer the MIG slices that are needed.

`geometry` lists how a card can be partitioned, `pack` chooses the partitions and proves that no fewer GPUs suffice.
"""
