"""What the metrics source of a world measures: an error rate for each watched target, and the GPU memory of nodes."""

from gpuwise.model.command import ServiceLevel
from gpuwise.model.errors import SourceError

QUERY, MEMORY_QUERY = 'errors{name="$name"}', 'memory{name="$node"}'
LEVEL = ServiceLevel("errors", QUERY, at_most=0.05)
GOOD, BAD = 0.0, 2.0**30
"""Within and out of the bounds: no errors and no memory in use, or both."""


class VirtualLevels:
    """The `Levels` port of a process; a signal that is None is silent."""

    def __init__(self, process) -> None:
        self._process = process

    def value(self, level: ServiceLevel) -> float | None:
        """The signal of the target that the query names."""
        name = level.query.split('"')[1]
        found = self._process.world.signals.get(name, GOOD)
        self._process.measured[name] = found
        if found is None and self._process.world.now_s % 2:
            raise SourceError("the metrics source does not answer", hint="try again")
        return found
