"""From UsageSeries to UsageProfile: distributions, idle intervals, coverage.

Pure: no clock, environment, network, file, log or unseeded randomness.
"""
