"""Each engine decides: when it fails, its recommendations are missing from the demo's scan, and named as failed."""

import importlib
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain

import pytest

from gpuwise.cli.demo import RECOMMEND, SEED
from gpuwise.config import Config, KubernetesConfig, LedgerConfig, ObserveConfig
from gpuwise.emulate.server import KubernetesEmulator
from gpuwise.finops.notes import failures_of
from gpuwise.model.inventory import Inventory, WorkloadRef
from gpuwise.model.profile import UsageProfile
from gpuwise.model.reasons import Reason
from gpuwise.model.recommendation import Recommendation
from gpuwise.pipeline import Pipeline, Survey
from gpuwise.recommend import plan
from gpuwise.recommend.policies import Policy, deciding
from gpuwise.simulate.fleet import simulate_fleet
from gpuwise.simulate.settings import FleetSettings
from gpuwise.sources.recording import RecordingWriter
from gpuwise.wiring import loop

# A Monday at 00:00 UTC, and an hour before, as in `gpuwise demo`.
END_S = 1_779_062_400
NOW_S = END_S - 3_600
pytestmark = pytest.mark.xdist_group("engines")  # one worker scores the demo's fleet
each_deciding = pytest.mark.parametrize("policy", tuple(deciding()), ids=lambda policy: policy.name)


@dataclass(frozen=True)
class Scored:
    """The demo's fleet, read and scored once; `scan` recommends from it."""

    pipeline: Pipeline
    inventory: Inventory
    profiles: Mapping[WorkloadRef, UsageProfile]

    def scan(self) -> Survey:
        return self.pipeline.recommend(self.inventory, self.profiles, NOW_S)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scored]:
    folder = tmp_path_factory.mktemp("engines")
    fleet = simulate_fleet(SEED, END_S, FleetSettings(), lambda _done, _total: None)
    writer = RecordingWriter(folder / "recording")
    writer.write_objects(fleet.objects)
    for pod in chain(fleet.series(), fleet.unallocated()):
        writer.append(pod)
    with KubernetesEmulator(fleet.objects, clock=lambda: float(END_S)) as cluster:
        config = Config(
            cluster_name="demo",
            recording=folder / "recording",
            ledger=LedgerConfig(folder / "ledger.db"),
            kubernetes=KubernetesConfig(cluster.write_kubeconfig(folder / "kubeconfig")),
            observe=ObserveConfig(look_back_h=fleet.window.seconds // 3_600, step_s=fleet.window.step_s),
            recommend=RECOMMEND,
        )
        with loop(config, writing=False, at_s=NOW_S) as pipeline:
            inventory = pipeline.observe(NOW_S)
            yield Scored(pipeline, inventory, pipeline.score(inventory, pipeline.window(NOW_S)))


@pytest.fixture(scope="module")
def expected(demo: Scored) -> Survey:
    return demo.scan()


def found(survey: Survey) -> dict[str, Recommendation]:
    return {item.id: item for item in (*survey.recommendations, *survey.alternatives)}


@each_deciding
def test_the_demo_has_a_recommendation_of_each_policy(policy: Policy, expected: Survey):
    assert {item.finding for item in expected.recommendations} & set(policy.findings)


@each_deciding
def test_without_its_engine_a_recommendation_is_missing_and_named_as_failed(
    policy: Policy, demo: Scored, expected: Survey, monkeypatch: pytest.MonkeyPatch
):
    with monkeypatch.context() as patched:
        stage = broken(policy, patched)
        survey = demo.scan()
    before, after = found(expected), found(survey)
    assert [item.id for item in after.values() if item.finding in policy.findings] == []
    assert {one for one in before.keys() - after.keys() if before[one].finding not in policy.findings} == set()
    failed = [one for one in survey.blocked if one.reason is Reason.METHOD_FAILED]
    assert {one.stage for one in failed} == {stage}
    assert {str(one.workload) for one in failed} >= {
        str(item.workload) for item in before.values() if item.finding in policy.findings
    }
    (note,) = failures_of(survey.blocked)
    assert stage in note
    assert [one for one in expected.blocked if one.reason is Reason.METHOD_FAILED] == []


def broken(policy: Policy, patched: pytest.MonkeyPatch) -> str:
    """Make the engine of a policy fail; returns the name of the method that calls it."""

    def fails(*_arguments, **_named):
        raise ZeroDivisionError("planted")

    module, _, name = policy.engine.rpartition(".")
    engine = getattr(importlib.import_module(module), name)
    for place in ("METHODS", "FLEET_METHODS"):
        methods = getattr(plan, place)
        if engine in methods:  # the method decides without another engine
            fails.__name__ = name
            patched.setattr(plan, place, tuple(fails if one is engine else one for one in methods))
            return name
    patched.setattr(importlib.import_module(module), name, fails)
    methods = (*plan.METHODS, *plan.FLEET_METHODS)
    return next(one.__name__ for one in methods if policy.name == sys.modules[one.__module__].STAGE)
