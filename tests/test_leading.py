"""Who takes part in the election, and whose ledger a person's command may use."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gpuwise import leading
from gpuwise.cli.commands import gpuwise
from gpuwise.cluster import KubernetesCluster
from gpuwise.config import Config, load
from gpuwise.memory.ledger import SqliteLedger
from gpuwise.model.errors import Forbidden, LedgerError

LEASES = "/apis/coordination.k8s.io/v1/namespaces/gpuwise/leases"
OTHER = "0123456789abcdef"


@pytest.fixture(scope="module")
def api(start_cluster):
    with start_cluster() as running:
        yield running


@pytest.fixture
def kubeconfig(api, tmp_path: Path) -> Path:
    api.reset([{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "gpuwise"}}])
    return api.write_kubeconfig(tmp_path / "config")


@pytest.fixture
def cluster(kubeconfig: Path):
    with KubernetesCluster.connect(kubeconfig=kubeconfig, context=None, wait_budget_s=0.0) as client:
        yield client


@pytest.fixture
def ledger(tmp_path: Path):
    with SqliteLedger(tmp_path / "ledger.db") as opened:
        yield opened


@pytest.fixture
def lease(cluster):
    def make(holder: str, ledger: str = OTHER) -> None:
        metadata = {"name": "gpuwise", "annotations": {"gpuwise.dev/ledger": ledger}}
        spec = {"holderIdentity": holder, "leaseTransitions": 3, "leaseDurationSeconds": 15}
        body = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec}
        cluster.create(LEASES, body)

    return make


def configured(**environment: str) -> Config:
    return load(None, {f"GPUWISE_{key}": value for key, value in environment.items()}, {})


class Unreadable:
    """A cluster whose Leases this person may not read."""

    def get(self, path: str) -> None:
        raise Forbidden(f"{path}: 403", hint="ask for it")


def test_i6_a_process_outside_of_a_pod_takes_part_where_the_lease_exists(cluster, lease):
    assert not leading.elects(Config(), cluster)
    lease("pod-a")
    assert leading.elects(Config(), cluster)
    assert not leading.elects(configured(LEAD_ENABLED="false"), cluster)


def test_i6_a_lease_that_cannot_be_read_may_have_a_holder():
    with pytest.raises(Forbidden, match=r"is not known.*--no-leader-elect"):
        leading.elects(Config(), Unreadable())
    assert leading.elects(configured(LEAD_NAMESPACE="gpuwise"), Unreadable())


@pytest.mark.parametrize("holder", ["pod-a", ""], ids=["leads", "restarts"])
def test_i5_a_persons_command_uses_the_ledger_of_the_latest_leader(cluster, lease, ledger, holder):
    """A leader that restarts releases its Lease: in these seconds another ledger would start a budget of its own."""
    lease(holder)
    with pytest.raises(LedgerError, match=rf"ledger {OTHER}, not this one.*use its ledger"):
        leading.compare_ledgers(Config(), cluster, ledger)


def test_a_person_with_the_ledger_of_the_leader_or_without_the_right_to_read_the_lease_goes_on(cluster, lease, ledger):
    leading.compare_ledgers(Config(), cluster, ledger)
    leading.compare_ledgers(Config(), Unreadable(), ledger)
    lease("pod-a", ledger.head().ledger)
    leading.compare_ledgers(Config(), cluster, ledger)


@pytest.mark.parametrize(
    "order", [("pause",), ("resume",), ("approve", "r-1"), ("dismiss", "r-1")], ids=lambda one: one[0]
)
def test_i26_an_order_in_a_ledger_that_the_leader_does_not_read_is_refused(kubeconfig, lease, tmp_path, order):
    lease("pod-a")
    environment = {"GPUWISE_LEDGER_PATH": str(tmp_path / "own.db"), "HOME": str(tmp_path)}
    done: Result = CliRunner(env=environment).invoke(gpuwise, [*order, "--kubeconfig", str(kubeconfig)])
    assert isinstance(done.exception, LedgerError)
    assert f"pod-a is the leader in this cluster and has ledger {OTHER}" in str(done.exception)
    assert ("gpuwise-stop" in str(done.exception)) == (order == ("pause",))
    with SqliteLedger(tmp_path / "own.db") as own:
        assert own.directives() == []
