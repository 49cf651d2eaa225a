"""GPUShareable: several pods on one GPU."""

from dataclasses import replace

import pytest
from tests.cases import BOOK, at_level, reason, training
from tests.cases import mixed_fleet_case as case
from tests.fleet import NOW_S, PRICES, inventory, node, pod, workload
from tests.scored import profile
from tests.series import usage

from gpuwise.model.changes import Share, Sharing
from gpuwise.model.reasons import Reason
from gpuwise.model.recommendation import Recommendation
from gpuwise.recommend.case import Case
from gpuwise.recommend.fleet import Fleet
from gpuwise.recommend.methods.gpu_shareable import share_card
from gpuwise.recommend.settings import RecommendSettings
from gpuwise.score.settings import ScoreSettings


def test_mig_is_preferred_to_methods_with_less_isolation():
    found = share_card(case(at_level()))
    assert found.change == Share(Sharing.MIG, 4)  # 10 GiB with headroom need 1g.20gb, four per GPU
    assert found.saving.low_usd_month == 0.0  # until another pod uses the freed part


def test_without_mig_a_workload_shares_by_mps_with_a_higher_risk():
    found = share_card(case(replace(at_level(gib=6.0), gpu_type="L40S"), nodes=[node(gpu="L40S")]))
    assert found.change == Share(Sharing.MPS, 4)
    assert found.risk == 2


def test_another_workload_on_the_node_raises_the_risk():
    one = replace(at_level(gib=6.0), gpu_type="L40S")
    alone = share_card(case(one, nodes=[node(gpu="L40S")]))
    subject = workload()
    other = workload(replace(subject.ref, name="other", uid="uid-2"), pods=(pod("other-0"),))
    scored = profile(usage(one), ScoreSettings())
    fleet = Fleet(inventory(subject, other, nodes=[node(gpu="L40S")]), {}, BOOK, RecommendSettings(), NOW_S)
    assert share_card(Case(subject, scored, fleet)).risk == alone.risk + 1


def test_training_does_not_share_its_gpu():
    assert reason(share_card(case(at_level(), training()))) is Reason.NOT_SHAREABLE


def test_a_full_gpu_is_not_shared():
    assert reason(share_card(case(at_level(gib=70.0)))) is Reason.NOT_SHAREABLE


def test_a_saving_has_energy_and_carbon_or_they_are_unknown():
    found = share_card(case(at_level()))
    assert found.saving.kwh_month == pytest.approx(found.saving.gpu_h_month * 0.12, rel=0.05)
    assert found.saving.kg_co2e_month == pytest.approx(found.saving.kwh_month * 0.3)
    elsewhere = share_card(case(at_level(), prices=PRICES))
    assert isinstance(elsewhere, Recommendation)
    assert elsewhere.saving.kg_co2e_month is None
