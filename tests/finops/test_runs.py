"""Cost per successful run: what failed counts, and is shown apart; what is not known is missing, with its reason."""

import pytest

from gpuwise.finops.runs import run_costs
from gpuwise.model.cost import CostSum, GpuSeconds

H = 3_600.0


def of(workload, usd, *, team="ml", unpriced_h=0.0, space="lab"):
    time = GpuSeconds(used=usd / 2 * H + unpriced_h * H)
    return CostSum((space, workload, team), time, GpuSeconds(used=usd), GpuSeconds(used=unpriced_h * H))


ENDS = {("lab", "Job/a"): True, ("lab", "RayJob/b"): True, ("lab", "Job/c"): False, ("other", "Job/d"): True}


def test_the_cost_of_failed_runs_is_part_of_the_cost_of_a_success():
    """$30 and $10 for two successes and $20 for a failure: $60 for two, $30 each. What runs on counts in neither."""
    sums = [of("Job/a", 30.0), of("RayJob/b", 10.0), of("Job/c", 20.0), of("Job/d", 7.0), of("Deployment/e", 99.0)]
    (line,) = run_costs(sums, ENDS)
    assert (line.keys, line.succeeded, line.failed, line.not_ended) == (("ml",), 2, 1, 1)
    assert (line.usd, line.failed_usd, line.not_ended_usd) == (60.0, 20.0, 7.0)
    assert line.usd_per_successful_run == 30.0
    assert line.gpu_h == pytest.approx(30.0)
    assert line.why_none == ""


def test_the_lines_sum_to_the_cost_of_all_runs():
    sums = [of("Job/a", 30.0), of("Job/c", 20.0, team="cv"), of("RayJob/b", 10.0, team=None)]
    lines = run_costs(sums, ENDS)
    assert [one.keys for one in lines] == [("ml",), ("cv",), (None,)]
    assert sum(one.usd for one in lines) == 60.0
    assert sum(one.succeeded for one in lines) == 2


@pytest.mark.parametrize(
    ("sums", "usd", "why"),
    [
        ([of("Job/c", 20.0)], 20.0, "no run succeeded"),
        ([of("Job/d", 7.0)], None, "no run is known to have ended"),
        ([of("Job/a", 30.0), of("Job/c", 0.0, unpriced_h=4.0)], None, "a part has no price"),
    ],
)
def test_without_a_success_or_a_price_there_is_no_cost_per_run_and_a_reason(sums, usd, why):
    (line,) = run_costs(sums, ENDS)
    assert (line.usd, line.usd_per_successful_run, line.why_none) == (usd, None, why)


def test_a_run_of_the_same_name_in_another_namespace_is_another_run():
    (line,) = run_costs([of("Job/a", 5.0, space="prod")], ENDS)
    assert (line.succeeded, line.not_ended) == (0, 1)


def test_a_run_in_two_lines_is_one_run_in_the_line_with_most_of_its_cost():
    """$10 in one zone and $90 in another: one success of $100."""
    (line,) = run_costs([of("Job/a", 10.0, team="zone-1"), of("Job/a", 90.0, team="zone-2")], ENDS)
    assert (line.keys, line.succeeded, line.usd_per_successful_run) == (("zone-2",), 1, 100.0)


def test_runs_that_began_before_the_period_are_counted_apart():
    (line,) = run_costs(
        [of("Job/a", 1.0), of("Job/c", 20.0), of("Job/d", 7.0)], ENDS, {("lab", "Job/a"), ("lab", "Job/d")}
    )
    assert (line.succeeded, line.began_earlier, line.not_ended) == (1, 1, 1)
