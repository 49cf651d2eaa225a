"""From UsageProfile to Recommendation or Hold; one file per method of saving.

Pure: no clock, environment, network, file, log or unseeded randomness.
"""
