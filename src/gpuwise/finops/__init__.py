"""Whose money it is: the bill, cost per team, what was wasted.

Pure: no clock, environment, network, file, log or unseeded randomness.
"""
