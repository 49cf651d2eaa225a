import itertools
from dataclasses import replace
from pathlib import Path

import pytest
from tests.api_requests import changes
from tests.cluster_under_test import NAMESPACE

from gpuwise.cluster import KubernetesCluster
from gpuwise.emulate.objects import node
from gpuwise.enact import EnactSettings, KubernetesEnactor
from gpuwise.memory.ledger import SqliteLedger
from gpuwise.model.changes import ScaleTo
from gpuwise.model.command import Command, Mode, OutcomeStatus
from gpuwise.model.inventory import WorkloadRef

NOW_S = 1_795_000_000
PATHS = {
    "Deployment": "/apis/apps/v1/namespaces/{}/deployments/{}",
    "StatefulSet": "/apis/apps/v1/namespaces/{}/statefulsets/{}",
    "Job": "/apis/batch/v1/namespaces/{}/jobs/{}",
    "Notebook": "/apis/kubeflow.org/v1/namespaces/{}/notebooks/{}",
    "Pod": "/api/v1/namespaces/{}/pods/{}",
}


class MemoryLedger(SqliteLedger):
    """The ledger of the product, in memory. It can lose outcomes, as if the process died before it wrote them."""

    def __init__(self):
        super().__init__(Path(":memory:"))
        self.loses_outcomes = False

    def record_outcome(self, outcome):
        if not self.loses_outcomes:
            super().record_outcome(outcome)

    def status(self, command_id):
        last = self.outcome(command_id)
        return OutcomeStatus.UNKNOWN if last is None else last.status


class Stage:
    """A cluster with one enactor, and short methods for what tests do with them."""

    def __init__(self, api, cluster):
        self.api = api
        self.cluster = cluster
        self.ledger = MemoryLedger()
        self.settings = EnactSettings(default_mode=Mode.ENFORCE)
        self._ids = itertools.count()

    def add(self, *objects):
        self.api.load(*objects)
        self.api.settle()

    def enactor(self, *, now_s=NOW_S, **settings):
        return KubernetesEnactor(self.cluster, self.ledger, replace(self.settings, **settings), lambda: now_s)

    def get(self, kind, name, namespace=NAMESPACE):
        return self.cluster.get(PATHS[kind].format(namespace, name))

    def patch(self, kind, name, body, namespace=NAMESPACE):
        path = PATHS[kind].format(namespace, name)
        self.cluster.patch(path, body, content_type="application/merge-patch+json")
        self.api.settle()

    def pods(self, app, namespace=NAMESPACE):
        self.api.settle()
        return self.cluster.list(f"/api/v1/namespaces/{namespace}/pods", label_selector=f"app={app}")

    def command(self, kind, name, change=None, *, namespace=NAMESPACE, actor="policy", uid=None):
        uid = uid or self.get(kind, name, namespace)["metadata"]["uid"]
        number = f"{next(self._ids):010x}"
        ref = WorkloadRef(namespace, kind, name, uid)
        return Command(f"a-{number}", f"r-{number}", ref, change or ScaleTo(0), actor)

    def enact(self, *commands, now_s=NOW_S, **settings):
        outcomes = self.enactor(now_s=now_s, **settings).enact(commands)
        self.api.settle()
        return outcomes[0] if len(commands) == 1 else outcomes

    def undo(self, command, now_s=NOW_S + 60, **settings):
        outcome = self.enactor(now_s=now_s, **settings).undo(command.id)
        self.api.settle()
        return outcome

    @property
    def mutations(self):
        return [one for one in self.api.requests if not one.dry_run and changes(one)]


@pytest.fixture(scope="module")
def running(start_cluster, tmp_path_factory):
    with start_cluster([node(f"gpu-{number}", mig={"1g.10gb": 7}) for number in range(4)]) as api:
        kubeconfig = api.write_kubeconfig(tmp_path_factory.mktemp("kube") / "config")
        with KubernetesCluster.connect(kubeconfig=kubeconfig, context=None, wait_budget_s=0.0) as cluster:
            yield api, cluster


@pytest.fixture
def stage(running):
    """A clean cluster for each test: the server keeps running, its objects are removed."""
    api, cluster = running
    api.reset([node(f"gpu-{number}", mig={"1g.10gb": 7}) for number in range(4)])
    return Stage(api, cluster)
