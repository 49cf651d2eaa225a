"""The cost of work on other GPU types, from paces of the fleet."""

import pytest

from gpuwise.model.pace import Pace
from gpuwise.recommend.engines.gpu_type_overprovisioned.fleet_speeds import (
    LEAST_KNOWN,
    Speeds,
    expected_on,
    speeds_of,
)
from gpuwise.recommend.engines.paces import LEAST_S, LEAST_UNITS

PRICES = {"A100-80GB": 3.0, "L40S": 1.5}


def pace(gpu_type="A100-80GB", *, rate=1.0, devices=1, last_s=100_000, seconds=LEAST_S, fraction=1.0) -> Pace:
    return Pace(gpu_type, fraction, devices, None, 0, last_s, seconds, rate * seconds, None)


def others(count: int, ratio: float, *, family="bert") -> list[Speeds]:
    return [Speeds(family, {"A100-80GB": 10.0**n, "L40S": ratio * 10.0**n}) for n in range(count)]


def test_the_newest_pace_on_each_type_counts_per_gpu():
    found = speeds_of("bert", [pace(rate=9.0, last_s=1), pace(rate=2.0), pace("L40S", rate=1.0)])
    assert found == Speeds("bert", {"A100-80GB": 2.0, "L40S": 1.0})
    assert speeds_of("bert", [pace(rate=8.0, devices=4)]).by_type == {"A100-80GB": 2.0}


def test_paces_of_few_samples_of_slices_and_of_other_numbers_of_gpus_do_not_count():
    assert speeds_of("bert", [pace(seconds=LEAST_S - 300)]).by_type == {}
    assert speeds_of("bert", [pace(rate=(LEAST_UNITS - 1) / LEAST_S)]).by_type == {}
    assert speeds_of("bert", [pace(fraction=1 / 7)]).by_type == {}
    mixed = [pace(rate=1.0), pace("L40S", rate=0.5), pace("H100-80GB", rate=16.0, devices=8)]
    assert speeds_of("bert", mixed).by_type == {"A100-80GB": 1.0, "L40S": 0.5}


def test_the_cost_follows_the_speed_of_others_whatever_their_units():
    own = Speeds("bert", {"A100-80GB": 123.0})
    found = expected_on(own, others(6, 0.8), "A100-80GB", PRICES)["L40S"]
    assert found.known == 6
    assert found.cost == pytest.approx(0.5 / 0.8, rel=0.15)
    assert found.cost > 0.5 / 0.8  # uncertain
    slow = expected_on(own, others(6, 0.4), "A100-80GB", PRICES)["L40S"]
    assert slow.cost > 1.0


def test_with_fewer_than_three_others_nothing_is_expected():
    own = Speeds("bert", {"A100-80GB": 1.0})
    assert expected_on(own, others(LEAST_KNOWN - 1, 0.8), "A100-80GB", PRICES) == {}
    assert expected_on(own, others(LEAST_KNOWN, 0.8), "A100-80GB", PRICES).keys() == {"L40S"}
    only_one_type = [Speeds("bert", {"L40S": 1.0})] * 9
    assert expected_on(own, only_one_type, "A100-80GB", PRICES) == {}
    assert expected_on(Speeds("bert", {}), others(9, 0.8), "A100-80GB", PRICES) == {}


def test_another_family_is_less_certain():
    own = Speeds("bert", {"A100-80GB": 1.0})
    same = expected_on(own, others(6, 0.8), "A100-80GB", PRICES)["L40S"]
    other = expected_on(own, others(6, 0.8, family="resnet"), "A100-80GB", PRICES)["L40S"]
    assert other.cost > same.cost
