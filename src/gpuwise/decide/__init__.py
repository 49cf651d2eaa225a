"""From Recommendation to Command or Blocked: modes, protections, one budget.

Pure: no clock, environment, network, file, log or unseeded randomness.
"""
