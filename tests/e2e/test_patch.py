"""`gpuwise patch`: what an autoscaler or a GitOps tool owns is changed by a commit, which the next pass recognises."""

import pytest
import yaml
from tests.api_requests import effects
from tests.cluster_under_test import NAMESPACE
from tests.e2e.fleets import options_of, recorded

from gpuwise.emulate.objects import autoscaler, deployment
from gpuwise.model.labels import HELM_VALUES

DAYS = 8
FLUX = {"kustomize.toolkit.fluxcd.io/name": "apps"}
VALUES = {HELM_VALUES: '{"spec.replicas": "llm.replicas"}'}


@pytest.fixture
def owned(start_cluster, gpuwise, tmp_path):
    """An idle Deployment that Flux applies, with an HPA, after a scan."""
    objects = [
        deployment("llm", replicas=2, labels=FLUX, annotations=VALUES),
        autoscaler("llm", kind="Deployment", target="llm"),
    ]
    with recorded(start_cluster, objects, tmp_path, days=DAYS) as (cluster, recording):
        options = options_of(recording, cluster.write_kubeconfig(tmp_path / "kubeconfig"), DAYS)
        yield cluster, options


def recommended(gpuwise, options):
    return gpuwise("scan", *options, "-q", "-o", "json").data["recommendations"]


def test_a_patch_is_printed_committed_and_recognised(owned, gpuwise):
    cluster, options = owned
    (found,) = recommended(gpuwise, options)
    ask = ("patch", found["id"], *options[2:4])

    plain = gpuwise(*ask)
    assert yaml.safe_load(plain.out) == {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "llm", "namespace": NAMESPACE},
        "spec": {"replicas": 0},
    }
    kustomize = yaml.safe_load(gpuwise(*ask, "--format", "kustomize").out)
    assert kustomize["patches"][0]["target"]["kind"] == "Deployment"
    assert yaml.safe_load(kustomize["patches"][0]["patch"]) == yaml.safe_load(plain.out)
    assert yaml.safe_load(gpuwise(*ask, "--format", "helm").out) == {"llm": {"replicas": 0}}
    assert not [one for one in cluster.requests if effects(one)]

    cluster.load(deployment("llm", replicas=0, labels=FLUX, annotations=VALUES))  # somebody commits it
    cluster.settle()
    arrived = gpuwise(*ask)
    assert (arrived.code, arrived.out) == (0, "")
    assert "arrived" in arrived.err
    assert recommended(gpuwise, options) == []
    gone = gpuwise(*ask)
    assert (gone.code, "made no recommendation" in gone.err) == (1, True)
