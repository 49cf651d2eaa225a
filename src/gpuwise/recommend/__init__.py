"""From UsageProfile to Recommendation or Blocked; one file per method of saving.

Pure: no clock, environment, network, file, log or unseeded randomness.
"""
