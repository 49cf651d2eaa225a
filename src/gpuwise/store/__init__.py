"""Where usage, inventory and prices are read, and where gpuwise remembers.

Forbidden here: deciding anything, and writing to a cluster.
"""
