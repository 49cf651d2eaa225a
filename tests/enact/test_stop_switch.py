"""The kill switch that is created by kubectl alone."""

import pytest
from tests.cluster_under_test import NAMESPACE

from gpuwise.emulate.objects import deployment
from gpuwise.enact.refusal import Refusal
from gpuwise.enact.settings import EnactSettings
from gpuwise.enact.stop_switch import stopped
from gpuwise.model.errors import ClusterError, Forbidden, NoAnswer
from gpuwise.model.reasons import Reason

SWITCH = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "gpuwise-stop", "namespace": "gpuwise"}}
HOME = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "gpuwise"}}


def test_i26_the_switch_stops_the_next_effect_and_its_removal_lets_them_go_on(stage):
    stage.add(HOME, deployment("one"), deployment("two"), SWITCH)
    one, two = (stage.command("Deployment", name) for name in ("one", "two"))
    outcome = stage.enact(one, stop_namespace="gpuwise")
    assert outcome.reason is Reason.STOPPED
    assert "effects go on when it is deleted" in outcome.detail
    assert (stage.mutations, stage.ledger.intents()) == ([], [])
    assert stage.enact(two, stop_namespace="gpuwise-elsewhere").reason is None


@pytest.mark.parametrize("actor", ["policy", "ana"])
def test_i26_it_stops_people_as_well(stage, actor):
    stage.add(HOME, deployment("one"), SWITCH)
    command = stage.command("Deployment", "one", actor=actor)
    assert stage.enact(command, stop_namespace="gpuwise").reason is Reason.STOPPED


class Failing:
    """A cluster that answers each read with an error."""

    def __init__(self, error: ClusterError) -> None:
        self.error = error

    def get(self, _path):
        raise self.error


@pytest.mark.parametrize("kind", [Forbidden, NoAnswer, ClusterError])
@pytest.mark.parametrize("actor", ["policy", "ana"])
def test_i26_a_switch_that_cannot_be_read_stops_automation(kind, actor):
    found = stopped(Failing(kind("no", hint="look")), EnactSettings(stop_namespace=NAMESPACE), actor=actor)
    if kind is Forbidden and actor == "ana":
        assert found is None
    else:
        assert isinstance(found, Refusal)
        assert "cannot be read, so nothing is changed" in found.detail


def test_outside_of_a_pod_nobody_granted_the_right_to_read_it():
    settings = EnactSettings(stop_namespace=NAMESPACE, stop_must_be_readable=False)
    assert stopped(Failing(Forbidden("no", hint="look")), settings, actor="policy") is None
    assert stopped(Failing(NoAnswer("no", hint="look")), settings, actor="policy") is not None
