"""Which pods end before the first new one must find a node."""

import pytest

from gpuwise.emulate.objects import deployment, pod, pod_spec, statefulset
from gpuwise.enact.effects import Effect
from gpuwise.enact.fitting import unfit


class Asked:
    """Every node takes a pod; remembers which pods were said to end first."""

    def __init__(self):
        self.leaving = None

    def refusal(self, _spec, leaving):
        self.leaving = sorted(leaving)

    def over_quota(self, *_):
        return None


def ends_first(item, pods):
    fit = Asked()
    item["metadata"]["namespace"] = "default"
    assert unfit(item, Effect({}, {}), pods, fit) is None
    return fit.leaving


def numbered(count, phase="Running"):
    made = [pod(f"llm-{at}", spec=pod_spec(), uid=f"{phase}-{at}") for at in range(count)]
    return [one | {"status": {"phase": phase}} for one in made]


@pytest.mark.parametrize("phase", ["Failed", "Succeeded"])
def test_incident_llmkube_192_pods_that_ended_make_no_space(phase):
    """Eight pods, of which seven were evicted long ago: 25 % of one running pod is none that ends first."""
    assert ends_first(deployment("llm"), [*numbered(7, phase), *numbered(1)]) == []
    assert ends_first(deployment("llm"), numbered(8)) == ["Running-6", "Running-7"]


def test_a_stateful_set_ends_its_highest_number_first():
    assert ends_first(statefulset("llm", replicas=11), numbered(11)) == ["Running-10"]
