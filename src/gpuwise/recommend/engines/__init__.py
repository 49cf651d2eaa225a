"""The engines: one package per decision, named after the finding whose method calls it.

Engines that no method calls are in `gpuwise.research`.
"""
