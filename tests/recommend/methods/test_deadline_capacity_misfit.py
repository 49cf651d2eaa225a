"""DeadlineCapacityMisfit: a job with a deadline runs on spot only, or on on-demand, until the next pass."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from tests.cases import reason
from tests.fleet import NOW_S, PRICES, inventory, node, pod, workload
from tests.scored import profile
from tests.series import device, usage

from gpuwise.model.changes import MoveToOnDemand, MoveToSpot
from gpuwise.model.inventory import CapacityType, WorkloadClass
from gpuwise.model.labels import CHECKPOINTED, DATA_CLASS, DEADLINE, PACE, WORK, WORK_METRIC
from gpuwise.model.pace import Pace
from gpuwise.model.price import PriceBook
from gpuwise.model.reasons import Reason
from gpuwise.model.recommendation import Recommendation
from gpuwise.model.scheduling import Requirement, Scheduling
from gpuwise.model.usage import Window
from gpuwise.recommend.case import Case
from gpuwise.recommend.engines.interruptible_on_demand import job as job_engine
from gpuwise.recommend.fleet import Fleet
from gpuwise.recommend.methods.deadline_capacity_misfit import spot_until_next_pass
from gpuwise.recommend.methods.interruptible_on_demand import spot_move
from gpuwise.recommend.settings import RecommendSettings
from gpuwise.score.settings import ScoreSettings

HOUR_S = 3_600
DAYS = 2
BEGAN_S = NOW_S - DAYS * 24 * HOUR_S
ON_SPOT_ONLY = Scheduling(terms=((Requirement("karpenter.sh/capacity-type", "In", ("spot",)),),))
SPOT_NODE = replace(node("spot-0", capacity=CapacityType.SPOT), created_s=NOW_S - 30 * HOUR_S)
NODES = (node(), SPOT_NODE)
USED = profile(usage(device(12, busy=range(12))), ScoreSettings())


def instant(hours):
    """An instant that many hours from now, RFC 3339."""
    return datetime.fromtimestamp(NOW_S + hours * HOUR_S, UTC).isoformat()


def pace(work_per_h=100.0, *, hours=40.0, **changes):
    made = Pace("A100-80GB", 1.0, 1, 400.0, BEGAN_S, NOW_S, hours * HOUR_S, work_per_h * hours, None)
    return replace(made, **changes)


def job(*, done=4_000.0, total=5_000.0, hours=30.0, paces=None, pods=None, annotations=None, nodes=NODES, **changes):
    """A job that began two days ago and did 100 units an hour: by default 10 h of work are left, and 30 h of time."""
    declared = {CHECKPOINTED: "true", DEADLINE: instant(hours), WORK: str(total), WORK_METRIC: "steps_total"}
    marks = {key: value for key, value in (declared | (annotations or {})).items() if value is not None}
    subject = workload(
        replace(workload().ref, kind="Job"),
        workload_class=WorkloadClass.TRAINING,
        annotations=marks,
        pods=(replace(pod(), started_s=BEGAN_S),) if pods is None else pods,
        created_s=changes.pop("created_s", BEGAN_S),
    )
    known = replace(
        USED,
        window=Window(BEGAN_S, NOW_S, 300),
        work=done,
        paces=(pace(),) if paces is None else paces,
        allocated_gpu_s=changes.pop("allocated_h", 40.0) * HOUR_S,
        allocated_gpu_s_by_type={"A100-80GB": 40.0 * HOUR_S},
    )
    fleet = Fleet(
        inventory(subject, nodes=nodes),
        {subject.ref: known},
        changes.pop("prices", PRICES),
        RecommendSettings(**changes.pop("settings", {})),
        NOW_S,
        **changes,
    )
    return Case(subject, known, fleet)


def on(name="node-0", **changes):
    return (replace(pod(on=name), **({"started_s": BEGAN_S} | changes)),)


WAITING = on(None, scheduling=ON_SPOT_ONLY, started_s=None, phase="Pending", ready=False)


def value(found, text):
    return next(one.value for one in found.evidence if one.text.startswith(text))


def test_with_slack_and_spot_it_moves_to_spot_only():
    found = spot_until_next_pass(job())
    assert isinstance(found, Recommendation)
    assert found.change == MoveToSpot(only=True)
    assert found.reasons == (Reason.SPOT_MEETS_DEADLINE, Reason.CHECKPOINTED)
    assert value(found, "work left") == 1_000.0
    assert value(found, "slowest pace") == 100.0
    assert value(found, "time to the deadline") == pytest.approx(30.0)
    assert value(found, "slack") == pytest.approx(30.0 - 0.5 - 10.0)
    assert value(found, "time to the next pass") == 1.0
    spot, on_demand = value(found, "cost from now on, with spot"), value(found, "cost from now on, with on-demand")
    assert 10.0 < spot < on_demand < 31.0
    assert found.saving.usd_month == pytest.approx(3.0 * 10.0 - spot)
    assert found.saving.low_usd_month == 0.0
    assert found.expires_s == NOW_S + HOUR_S + 1_800


def test_without_slack_it_stays_on_on_demand():
    assert reason(spot_until_next_pass(job(hours=11.0))) is Reason.ON_CHOSEN_CAPACITY


def test_on_spot_without_slack_it_moves_to_on_demand_and_excludes_nothing():
    found = spot_until_next_pass(job(hours=11.0, pods=on("spot-0")))
    assert found.change == MoveToOnDemand()
    assert found.claims == ()
    assert found.saving.usd_month == 0.0
    assert found.confidence == 1.0
    assert "not safe" in {one.statistic for one in found.evidence}


@pytest.mark.parametrize(("hours", "moves"), [(11.7, False), (11.6, True)])
def test_it_leaves_spot_when_a_step_without_progress_would_be_one_too_many(hours, moves):
    """10 h of work, 10 min of restart, 1 h to the next pass, 30 min of margin: 11 h 40 min."""
    found = spot_until_next_pass(job(hours=hours, pods=on("spot-0")))
    assert isinstance(found, Recommendation) is moves


def test_on_spot_with_slack_it_stays():
    assert reason(spot_until_next_pass(job(pods=on("spot-0")))) is Reason.ON_CHOSEN_CAPACITY


def test_a_job_that_waits_for_spot_goes_on_waiting_and_moves_when_the_slack_is_gone():
    waits = spot_until_next_pass(job(pods=WAITING, nodes=(node(),), past=(replace(SPOT_NODE, gone_s=NOW_S - HOUR_S),)))
    assert reason(waits) is Reason.ON_CHOSEN_CAPACITY
    assert "waits for spot" in waits.detail
    gone = spot_until_next_pass(job(hours=11.0, pods=WAITING, nodes=(node(),)))
    assert gone.change == MoveToOnDemand()
    assert not gone.restart_needed


def test_a_job_that_waits_for_any_node_needs_no_change_to_run_on_on_demand():
    pods = on(None, phase="Pending", ready=False)
    assert reason(spot_until_next_pass(job(hours=11.0, pods=pods))) is Reason.ON_CHOSEN_CAPACITY
    assert spot_until_next_pass(job(pods=pods)).change == MoveToSpot(only=True)


def test_a_pod_that_waits_for_spot_shows_other_jobs_that_there_is_none():
    alone = spot_until_next_pass(job())
    assert value(alone, "spot is available") == 1.0
    other = workload(replace(workload().ref, name="other", uid="uid-2"), pods=WAITING)
    case = job()
    both = replace(case.fleet.inventory, workloads=(case.workload, other))
    profiles = dict(case.fleet.profiles) | {other.ref: case.profile}
    busy = replace(case, fleet=replace(case.fleet, inventory=both, profiles=profiles))
    assert value(spot_until_next_pass(busy), "spot is available") == 0.0


def test_the_slowest_pace_counts_whatever_its_power_limit():
    paces = (pace(50.0, limit_w=250.0), pace(100.0))
    assert value(spot_until_next_pass(job(paces=paces, done=4_500.0)), "slowest pace") == 50.0


def test_the_mean_with_all_starts_and_stalls_is_a_pace():
    assert value(spot_until_next_pass(job(allocated_h=80.0, hours=60.0)), "slowest pace") == 50.0


@pytest.mark.parametrize(
    "paces",
    [
        (),
        (pace(hours=0.5),),
        (pace(gpu_type="H100-80GB"),),
        (pace(devices=2),),
    ],
)
def test_without_a_credible_pace_on_its_gpus_it_is_not_decided_about(paces):
    assert reason(spot_until_next_pass(job(paces=paces))) is Reason.INSUFFICIENT_DATA


def test_a_counter_that_does_not_grow_is_no_pace():
    assert reason(spot_until_next_pass(job(done=0.0, paces=(pace(0.0),)))) is Reason.INSUFFICIENT_DATA


def test_without_a_counter_it_is_not_decided_about():
    found = spot_until_next_pass(job(done=None))
    assert reason(found) is Reason.INSUFFICIENT_DATA
    assert "steps_total" in found.detail


def test_a_job_that_began_before_the_window_stays_on_on_demand_and_leaves_spot_early():
    earlier = BEGAN_S - 10 * HOUR_S
    found = spot_until_next_pass(job(created_s=earlier))
    assert reason(found) is Reason.INSUFFICIENT_DATA
    assert "observe.look_back_h to 58" in found.detail
    assert spot_until_next_pass(job(created_s=earlier, hours=9.0, pods=on("spot-0"))).change == MoveToOnDemand()


def test_on_spot_only_it_moves_to_on_demand_when_its_progress_is_no_longer_known():
    found = spot_until_next_pass(job(done=None, pods=WAITING))
    assert found.change == MoveToOnDemand()
    assert found.coverage == 0.0
    young = job(done=None, pods=WAITING, allocated_h=0.5)
    assert reason(spot_until_next_pass(young)) is Reason.INSUFFICIENT_DATA


def test_a_job_that_waits_for_spot_alone_moves_to_on_demand_when_it_is_too_late():
    found = spot_until_next_pass(job(hours=9.0, pods=WAITING, nodes=(node(),)))
    assert found.change == MoveToOnDemand()
    assert any("give it more time" in one.text for one in found.evidence)


def test_a_deadline_that_on_demand_cannot_meet_is_named_with_the_numbers():
    found = spot_until_next_pass(job(hours=9.0))
    assert reason(found) is Reason.DEADLINE_CANNOT_BE_MET
    assert "10.0 h on on-demand" in found.detail
    assert "in 9.0 h" in found.detail
    passed = spot_until_next_pass(job(hours=-2.0))
    assert reason(passed) is Reason.DEADLINE_CANNOT_BE_MET
    assert "2.0 h ago" in passed.detail


@pytest.mark.parametrize(
    ("annotations", "code", "parts"),
    [
        ({DEADLINE: None}, Reason.NOT_APPLICABLE, [DEADLINE]),
        ({DEADLINE: "friday"}, Reason.UNREADABLE_DECLARATION, [DEADLINE, "'friday'", "2026-11-30T18:00:00Z"]),
        ({WORK: None}, Reason.UNREADABLE_DECLARATION, [WORK]),
        ({WORK_METRIC: None}, Reason.UNREADABLE_DECLARATION, [WORK_METRIC]),
        ({WORK_METRIC: "my steps"}, Reason.UNREADABLE_DECLARATION, [WORK_METRIC, "'my steps'"]),
        ({WORK: "many"}, Reason.UNREADABLE_DECLARATION, [WORK, "'many'"]),
        ({WORK: "0"}, Reason.UNREADABLE_DECLARATION, [WORK, "above 0"]),
        ({WORK: "nan"}, Reason.UNREADABLE_DECLARATION, [WORK]),
        ({WORK: "5_000"}, Reason.UNREADABLE_DECLARATION, [WORK]),
        ({PACE: "fast"}, Reason.UNREADABLE_DECLARATION, [PACE, "'fast'"]),
        ({CHECKPOINTED: "yes"}, Reason.NOT_INTERRUPTIBLE, [CHECKPOINTED]),
    ],
)
def test_what_cannot_be_read_is_named_with_its_value(annotations, code, parts):
    found = spot_until_next_pass(job(annotations=annotations))
    assert reason(found) is code
    assert all(part in found.detail for part in parts)


def test_a_counter_beyond_the_declared_work_is_named():
    found = spot_until_next_pass(job(done=6_000.0))
    assert reason(found) is Reason.ON_CHOSEN_CAPACITY
    assert "6000 units of 5000" in found.detail


def test_reserved_nodes_are_paid_in_advance():
    nodes = (node(capacity=CapacityType.RESERVED), SPOT_NODE)
    assert reason(spot_until_next_pass(job(nodes=nodes))) is Reason.PAID_IN_ADVANCE


def test_without_spot_nodes_it_stays_on_on_demand():
    assert reason(spot_until_next_pass(job(nodes=(node(),)))) is Reason.NO_SPOT_CAPACITY


def test_a_region_that_its_data_class_does_not_allow_is_no_place():
    settings = {"regions_by_data_class": {"voices": ("us-east-1",)}}
    found = spot_until_next_pass(job(annotations={DATA_CLASS: "voices"}, settings=settings))
    assert reason(found) is Reason.NO_SPOT_CAPACITY


def test_spot_that_could_take_it_out_of_the_regions_of_its_data_class_is_not_recommended():
    zones = [replace(SPOT_NODE, name=region, region=region, zone=f"{region}a") for region in ("eu-west-1", "us-east-1")]
    settings = {"regions_by_data_class": {"voices": ("eu-west-1",)}}
    marks = {DATA_CLASS: "voices"}
    for method, more in ((spot_until_next_pass, {}), (spot_move, {DEADLINE: None})):
        found = method(job(annotations=marks | more, settings=settings, nodes=(node(), *zones)))
        assert reason(found) is Reason.REGION_NOT_ALLOWED
        assert "us-east-1" in found.detail


def test_the_cheapest_zone_is_preferred():
    zones = [replace(SPOT_NODE, name=f"spot-{zone}", zone=zone) for zone in ("eu-west-1a", "eu-west-1b")]
    local = {("A100-80GB", CapacityType.SPOT, "", "eu-west-1b"): 0.7}
    prices = PriceBook(PRICES.usd_per_gpu_h, "written for tests", {}, local)
    found = spot_until_next_pass(job(nodes=(node(), *zones), prices=prices))
    assert found.change == MoveToSpot("eu-west-1b", only=True)
    assert value(found, "price of the job on spot in eu-west-1b") == 0.7


def test_a_longer_interval_leaves_spot_earlier():
    assert reason(spot_until_next_pass(job(hours=13.0, pods=on("spot-0")))) is Reason.ON_CHOSEN_CAPACITY
    assert (
        spot_until_next_pass(job(hours=13.0, pods=on("spot-0"), pass_interval_s=3 * HOUR_S)).change == MoveToOnDemand()
    )


def test_missing_work_never_moves_it_to_spot():
    """I3: with less work counted, spot is chosen at most where it was before."""
    chosen = [
        isinstance(spot_until_next_pass(job(done=float(done), hours=20.0)), Recommendation)
        for done in range(2_500, 4_900, 200)
    ]
    assert chosen == sorted(chosen)
    assert True in chosen
    assert False in chosen


def new(hours, pods=WAITING, **changes):
    """A job that was created again a moment ago with what was left, and has not had its GPUs yet."""
    made = job(done=None, total=1_000.0, hours=hours, pods=pods, paces=(), allocated_h=0.0, created_s=NOW_S, **changes)
    fresh = replace(made.profile, allocated_gpu_s_by_type={})
    return replace(made, profile=fresh, fleet=replace(made.fleet, profiles={made.workload.ref: fresh}))


def test_a_job_that_was_created_again_waits_by_its_declared_pace_and_meets_its_deadline():
    declares = {"annotations": {PACE: "100"}}
    assert reason(spot_until_next_pass(new(30.0, **declares))) is Reason.ON_CHOSEN_CAPACITY
    found = spot_until_next_pass(new(11.0, **declares))
    assert found.change == MoveToOnDemand()
    assert value(found, "slowest pace") == 100.0
    blocked = spot_until_next_pass(new(11.0))
    assert reason(blocked) is Reason.INSUFFICIENT_DATA
    assert PACE in blocked.detail


def test_a_measured_pace_counts_instead_of_the_declared_one():
    assert value(spot_until_next_pass(job(annotations={PACE: "500"})), "slowest pace") == 100.0


def test_a_job_that_may_run_on_several_gpu_types_is_decided_about_once_it_runs():
    nodes = (*NODES, node("t4-0", gpu="T4"))
    found = spot_until_next_pass(new(11.0, annotations={PACE: "100"}, nodes=nodes))
    assert reason(found) is Reason.NO_PRICE


def test_a_deadline_in_the_year_9999_is_planned_without_millions_of_steps(monkeypatch):
    steps = []
    one = job_engine.advance
    monkeypatch.setattr(job_engine, "advance", lambda *args: steps.append(1) or one(*args))
    far = job(annotations={DEADLINE: "9999-12-31T23:59:59Z"}, pass_interval_s=60)
    assert spot_until_next_pass(far).change == MoveToSpot(only=True)
    assert len(steps) < 100


def test_on_spot_only_it_moves_to_on_demand_when_no_on_demand_price_is_known():
    prices = PriceBook({("A100-80GB", CapacityType.SPOT): 1.0}, "written for tests")
    found = spot_until_next_pass(job(hours=11.0, pods=WAITING, prices=prices, nodes=(node(),)))
    assert found.change == MoveToOnDemand()
    assert reason(spot_until_next_pass(job(hours=11.0, prices=prices))) is Reason.NO_PRICE


def test_a_pod_that_failed_on_a_spot_node_does_not_make_a_job_on_on_demand_one_on_spot():
    ended = replace(pod(on="spot-0"), name="ended", uid="ended", phase="Failed", ready=False)
    found = spot_until_next_pass(job(hours=11.0, pods=(ended, *on())))
    assert reason(found) is Reason.ON_CHOSEN_CAPACITY
    assert "on-demand" in found.detail


@pytest.mark.parametrize(
    "spot",
    [
        Requirement("cloud.google.com/gke-spot", "Exists", ()),
        Requirement("karpenter.sh/capacity-type", "NotIn", ("on-demand", "reserved")),
    ],
)
def test_each_way_to_ask_for_spot_nodes_alone_is_recognised(spot):
    pods = on(None, scheduling=Scheduling(terms=((spot,),)), started_s=None, phase="Pending", ready=False)
    assert spot_until_next_pass(job(hours=11.0, pods=pods, nodes=(node(),))).change == MoveToOnDemand()
