"""The engines: one package per decision, named after the finding whose method calls it.

What no method calls is in `gpuwise.research`.
"""
