"""Where work runs: in this process, or on Ray, which a child process joins. Writes never run there.

Forbidden here: knowledge of what the work is.
"""
