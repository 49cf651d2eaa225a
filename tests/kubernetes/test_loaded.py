"""Objects loaded into the emulator, and the time that a fleet takes."""

import time

import httpx
import pytest

from gpuwise.emulate import ADMIN_TOKEN, KubernetesEmulator
from gpuwise.emulate.objects import autoscaler, node, pod, pod_spec
from gpuwise.emulate.status import ApiFailure

NODES, PODS, GPUS = 150, 1_500, 8


def listed(api, path):
    answer = httpx.get(api.url + path, headers={"Authorization": f"Bearer {ADMIN_TOKEN}"}, timeout=30)
    assert answer.status_code == 200, answer.text
    return answer.json()["items"]


def test_a_fleet_with_more_pods_than_gpus_settles_within_seconds():
    """Pods of one shape share a status: this took minutes when each write compared each pod with each node."""
    objects = [node(f"n{number}", gpus=GPUS) for number in range(NODES)]
    objects += [pod(f"p{number}", namespace="team") for number in range(PODS)]
    with KubernetesEmulator(objects) as api:
        start_s = time.monotonic()
        api.settle(60)
        assert time.monotonic() - start_s < 40
        found = listed(api, "/api/v1/pods")
    running = [one for one in found if one["status"]["phase"] == "Running"]
    assert len(running) == NODES * GPUS
    per_node = [sum(one["spec"]["nodeName"] == f"n{number}" for one in running) for number in range(NODES)]
    assert per_node == [GPUS] * NODES
    messages = {one["status"]["conditions"][0]["message"] for one in found if one["status"]["phase"] == "Pending"}
    assert len(messages) == 1
    assert messages.pop().startswith(f"0/{NODES} nodes are available: {NODES} Insufficient nvidia.com/gpu. ")


def test_pods_are_packed_on_the_fuller_node_first():
    objects = [node("empty"), node("half"), pod("there", spec=pod_spec(gpus=4, nodeName="half"))]
    with KubernetesEmulator(objects) as api:
        api.settle()
        api.load(pod("next", spec=pod_spec(gpus=2)))
        api.settle()
        (found,) = listed(api, "/api/v1/pods?fieldSelector=metadata.name%3Dnext")
    assert found["spec"]["nodeName"] == "half"


def test_an_autoscaler_to_zero_can_be_loaded_but_not_created():
    one = autoscaler("h", kind="Deployment", target="d")
    one["spec"] |= {"minReplicas": 0, "maxReplicas": 3}
    headers = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
    with KubernetesEmulator([one]) as api:
        path = "/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers"
        assert len(listed(api, path)) == 1
        other = one | {"metadata": {"name": "other"}}
        refused = httpx.post(api.url + path, json=other, headers=headers, timeout=30)
    assert refused.status_code == 422
    assert {cause["field"] for cause in refused.json()["details"]["causes"]} == {"spec.minReplicas", "spec.metrics"}


def test_an_invalid_object_is_not_loaded():
    with pytest.raises(ApiFailure) as refused:
        KubernetesEmulator([pod("no containers", spec={"containers": []})])
    assert refused.value.code == 422
