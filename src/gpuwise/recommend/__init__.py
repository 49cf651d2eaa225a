"""Turns usage profiles into recommendations, or into Blocked with a reason; one file per finding.

Pure: no clock, environment, network, file, log or unseeded randomness.
"""
