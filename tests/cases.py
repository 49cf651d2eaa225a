"""Cases for the tests of the methods: one workload in a fleet of one or three nodes."""

from dataclasses import replace

import numpy as np

from gpuwise.model.inventory import CapacityType, WorkloadClass
from gpuwise.model.price import PriceBook
from gpuwise.model.reasons import Reason
from gpuwise.model.recommendation import Blocked
from gpuwise.model.signal import Signal
from gpuwise.recommend.case import Case
from gpuwise.recommend.fleet import Fleet
from gpuwise.recommend.settings import RecommendSettings
from gpuwise.score.settings import ScoreSettings
from tests.fleet import NOW_S, PRICES, inventory, node, workload
from tests.scored import profile
from tests.series import DAY_STEPS, device, usage

WEEK = 7 * DAY_STEPS
MIG_NODE = node("mig-0", mig={"1g.10gb": 7, "2g.20gb": 3, "3g.40gb": 2})
HOUR = DAY_STEPS // 24
BOOK = PriceBook(
    {
        ("A100-80GB", CapacityType.ON_DEMAND): 3.0,
        ("L40S", CapacityType.ON_DEMAND): 1.5,
        ("T4", CapacityType.ON_DEMAND): 0.5,
    },
    "written for tests",
    {"eu-west-1": 0.3},
)


def case(series, subject=None, *, nodes=None, prices=PRICES):
    subject = subject or workload()
    scored = profile(series, ScoreSettings())
    fleet = Fleet(inventory(subject, nodes=nodes), {subject.ref: scored}, prices, RecommendSettings(), NOW_S)
    return Case(subject, scored, fleet)


def mixed_fleet_case(one, subject=None, *, nodes=None, prices=BOOK, **settings):
    subject = subject or workload()
    scored = profile(usage(one, workload=subject.ref), ScoreSettings())
    fleet = Fleet(
        inventory(subject, nodes=nodes or [node(), node("l40s-0", gpu="L40S"), node("t4-0", gpu="T4")]),
        {subject.ref: scored}, prices, RecommendSettings(**settings), NOW_S,
    )  # fmt: skip
    return Case(subject, scored, fleet)


def reason(result) -> Reason:
    assert isinstance(result, Blocked), result
    return result.reason


def at_level(steps=WEEK, *, sm=0.1, dram=0.1, tensor=0.05, watts=120.0, gib=10.0):
    one = device(steps)
    levels = {Signal.SM_ACTIVITY: sm, Signal.DRAM_ACTIVITY: dram, Signal.TENSOR_ACTIVITY: tensor}
    levels |= {Signal.GPU_UTIL: 0.9, Signal.POWER: watts, Signal.MEMORY_USED: gib * 2**30}
    return replace(one, samples={signal: np.full(steps, value) for signal, value in levels.items()})


def training(**changes):
    ref = replace(workload().ref, kind="StatefulSet")
    return workload(ref, workload_class=WorkloadClass.TRAINING, **changes)
