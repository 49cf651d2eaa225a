"""Which paces are measurements."""

from gpuwise.model.pace import Pace

LEAST_S, LEAST_UNITS = 14_400.0, 500.0
"""Least time and work of a measurement. Scrapes that are 30 s early or late at both ends change the speed of four hours
by 0.4 %, and one unit more or less changes that of 500 units by 0.2 %. So the ratio of two speeds has an error of at
most 1.2 %; a slowdown of 5 % decides about a power limit."""


def is_measured(pace: Pace) -> bool:
    """Whether a pace has enough time and work to compare it with others; a pace with less counts as missing."""
    return pace.seconds >= LEAST_S and pace.work >= LEAST_UNITS
