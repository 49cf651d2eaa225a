"""Where work runs: in this process, or on Ray, with one enacting actor.

Forbidden here: knowing what the work is.
"""
