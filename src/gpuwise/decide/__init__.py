"""Turns recommendations into commands, or into Blocked with a reason: modes, protections, one budget.

Pure: no clock, environment, network, file, log or unseeded randomness.
"""
