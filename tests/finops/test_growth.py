"""The work of compiling a report grows with the fleet, not with its square; counted in calls, not in seconds."""

import cProfile
import pstats

from tests.finops.test_report import node, used, week, workload

from gpuwise.finops.report import compile_report


def calls(workloads: int) -> int:
    names = [f"h{index}" for index in range(workloads)]
    pairs = [(one := workload(f"w{at}", (at,)), used(one.ref, [(20.0, 5.0)] * 7, nodes=(at,))) for at in names]
    period = week([node(at, "H100-80GB") for at in names], pairs)
    counted = cProfile.Profile()
    counted.enable()
    compile_report(period, name="2026-W20", recommendations=[], blocked=[], actions=[], cluster="test")
    counted.disable()
    return int(pstats.Stats(counted).total_calls)  # type: ignore[attr-defined]


def test_a_fleet_of_four_times_the_size_takes_four_times_the_work():
    calls(20)  # what is done once, such as imports
    small, large = calls(50), calls(200)
    assert large / small < 4.4
