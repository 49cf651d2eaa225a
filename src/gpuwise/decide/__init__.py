"""From Recommendation to Command or Hold: modes, protections, one budget.

Pure: no clock, environment, network, file, log or unseeded randomness.
"""
