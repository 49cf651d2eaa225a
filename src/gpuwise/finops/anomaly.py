"""placeholder"""

from typing import NamedTuple


class Step(NamedTuple):
    start: int


def steps(history):
    return []
