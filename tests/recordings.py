"""A small simulated fleet as a recording on disk, for tests that do not depend on its content."""

from pathlib import Path

from gpuwise.model.usage import Window
from gpuwise.simulate.fleet import simulate_fleet
from gpuwise.simulate.settings import FleetSettings
from gpuwise.sources.recording import RecordingWriter

NOW_S = 1_780_272_000


def record_fleet(folder: Path, *, nodes: int, days: int) -> Window:
    """Write usage and inventory of a fleet whose recording ends at NOW_S; returns the recorded window."""
    fleet = simulate_fleet(5, NOW_S, FleetSettings(nodes=nodes, days=days))
    writer = RecordingWriter(folder)
    writer.write_objects(fleet.objects)
    for pod in fleet.series():
        writer.append(pod)
    return fleet.window
