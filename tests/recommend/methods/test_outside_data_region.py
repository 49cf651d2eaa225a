"""OutsideDataRegion: work in a region that the class of its data does not allow."""

from dataclasses import replace

import pytest
from tests.cases import WEEK, at_level, reason, training
from tests.cases import mixed_fleet_case as case
from tests.fleet import PRICES, inventory, node, pod, workload
from tests.series import device

from gpuwise.model.changes import MoveToRegion
from gpuwise.model.inventory import CapacityType, Namespace
from gpuwise.model.labels import CHECKPOINTED, DATA_CLASS
from gpuwise.model.reasons import Reason
from gpuwise.model.recommendation import Blocked, Recommendation
from gpuwise.recommend.methods.gpu_type_overprovisioned import cheaper_type
from gpuwise.recommend.methods.interruptible_on_demand import spot_move
from gpuwise.recommend.methods.outside_data_region import stay_in_region
from gpuwise.recommend.plan import recommend

HERE, ELSEWHERE = "eu-west-1", "us-east-1"
VOICES = {DATA_CLASS: "voices"}


def judged(subject=None, *, regions=(ELSEWHERE,), nodes=None):
    subject = subject or workload(annotations=VOICES)
    return stay_in_region(case(at_level(), subject, nodes=nodes, regions_by_data_class={"voices": regions}))


def test_work_outside_the_regions_of_its_data_is_a_finding_of_its_owner():
    found = judged(regions=(ELSEWHERE, "us-west-2"))
    assert isinstance(found, Recommendation)
    assert found.change == MoveToRegion((HERE,), (ELSEWHERE, "us-west-2"))
    assert (found.owner, found.saving.usd_month, found.confidence) == ("search", 0.0, 1.0)
    assert [one.value for one in found.evidence] == [1.0]


def test_work_in_an_allowed_region_is_none():
    assert reason(judged(regions=(ELSEWHERE, HERE))) is Reason.REGIONS_ALLOWED


@pytest.mark.parametrize("where", ["annotations", "labels", "pod_labels"])
def test_the_class_is_read_from_the_workload(where: str):
    assert isinstance(judged(workload(**{where: VOICES})), Recommendation)


def test_the_class_is_read_from_the_namespace_and_the_workload_overrides_it():
    whole = case(at_level(), workload(), regions_by_data_class={"voices": (ELSEWHERE,), "public": (HERE,)})
    fleet = replace(whole.fleet, inventory=inventory(workload(), namespaces=[Namespace("research", VOICES, {})]))
    assert isinstance(stay_in_region(replace(whole, fleet=fleet)), Recommendation)
    public = workload(labels={"team": "search", DATA_CLASS: "public"})
    assert reason(stay_in_region(replace(whole, workload=public, fleet=fleet))) is Reason.REGIONS_ALLOWED


def test_without_a_class_nothing_is_required():
    assert reason(judged(workload())) is Reason.NOT_APPLICABLE


@pytest.mark.parametrize("name", ["voice", ""])
def test_a_class_that_the_settings_do_not_know_allows_nothing_and_is_named(name: str):
    found = judged(workload(annotations={DATA_CLASS: name}))
    assert reason(found) is Reason.UNREADABLE_POLICY
    assert f"data class {name!r} has no regions: set recommend.regions_by_data_class" in found.detail


def test_a_pod_in_an_unknown_region_is_neither_inside_nor_outside():
    unknown = replace(node(), region=None)
    assert reason(judged(nodes=[unknown])) is Reason.INSUFFICIENT_DATA
    two = workload(annotations=VOICES, pods=(pod(), pod("chat-1", on="node-1")))
    found = judged(two, nodes=[unknown, node("node-1")])
    assert isinstance(found, Recommendation)
    assert (found.evidence[0].value, found.evidence[0].threshold) == (1.0, 2.0)


def test_it_excludes_no_other_recommendation():
    unused = case(device(WEEK), workload(annotations=VOICES), regions_by_data_class={"voices": ()})
    assert [item.finding for item in recommend(unused.fleet).plan] == ["Idle", "OutsideDataRegion"]


def test_a_cheaper_type_is_offered_only_where_the_data_may_be():
    subject = workload(annotations=VOICES)
    allowed = case(at_level(), subject, regions_by_data_class={"voices": (HERE,)})
    assert isinstance(cheaper_type(allowed), Recommendation)
    for regions in ({"voices": (ELSEWHERE,)}, {}):
        assert isinstance(cheaper_type(case(at_level(), subject, regions_by_data_class=regions)), Blocked)


def test_spot_nodes_count_only_where_the_data_may_be():
    subject = training(annotations=VOICES | {CHECKPOINTED: "true"})
    nodes = [node(), node("spot-0", capacity=CapacityType.SPOT)]
    for region, expected in ((HERE, Recommendation), (ELSEWHERE, Blocked)):
        settings = {"regions_by_data_class": {"voices": (region,)}}
        assert isinstance(spot_move(case(at_level(), subject, nodes=nodes, prices=PRICES, **settings)), expected)
