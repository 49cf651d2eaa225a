"""Orders of people: which clusters they are for, and when there is nothing to record."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from gpuwise.cli.commands import gpuwise
from gpuwise.decide.history import History
from gpuwise.manual import record
from gpuwise.memory.ledger import SqliteLedger
from gpuwise.model.command import Directive


@pytest.fixture
def order(tmp_path):
    """Record an order for a cluster, or for every one; whether it was written."""

    def ordered(kind, cluster=""):
        with SqliteLedger(tmp_path / "ledger.db") as ledger:
            ledger.belongs_to(cluster)
            return record(ledger, Directive(kind, "*", "ana", 5, "", cluster)) is None

    return ordered


@pytest.fixture
def paused(tmp_path):
    def in_force(cluster):
        with SqliteLedger(tmp_path / "ledger.db") as ledger:
            ledger.belongs_to(cluster)
            return History(directives=ledger.directives()).paused is not None

    return in_force


def test_i26_a_pause_of_one_cluster_is_not_ended_in_another(order, paused):
    assert order("pause", "alpha")
    assert not order("resume", "beta")
    assert (paused("alpha"), paused("beta")) == (True, False)


def test_i26_a_pause_without_a_cluster_is_for_every_one(order, paused):
    assert order("pause")
    assert not order("pause", "alpha")
    assert order("resume", "alpha")
    assert (paused("alpha"), paused("beta")) == (False, True)


def test_i26_without_a_cluster_every_pause_ends(order, paused):
    """The last order of all was a resume in beta; alpha is still paused."""
    assert order("pause", "alpha")
    assert order("pause", "beta")
    assert order("resume", "beta")
    assert order("resume")
    assert not order("resume")
    assert (paused("alpha"), paused("beta")) == (False, False)


def test_i26_a_pause_of_one_cluster_does_not_replace_that_of_every_one(order, paused):
    assert order("pause", "alpha")
    assert order("pause")
    assert not order("pause")
    assert (paused("alpha"), paused("beta")) == (True, True)


KUBECONFIG = """
apiVersion: v1
kind: Config
current-context: here
contexts: [{name: here, context: {cluster: here, user: me}}]
clusters: [{name: here, cluster: {server: "http://127.0.0.1:9"}}]
users: [{name: me, user: {}}]
"""


@pytest.fixture
def cli(tmp_path):
    ledger = {"GPUWISE_LEDGER_PATH": str(tmp_path / "ledger.db"), "HOME": str(tmp_path)}
    return lambda *arguments: CliRunner(env=ledger).invoke(gpuwise, list(map(str, arguments)))


def recording(folder: Path, uid: str) -> Path:
    objects = [
        {"kind": "Namespace", "apiVersion": "v1", "metadata": {"name": "kube-system", "uid": uid}},
        {"kind": "Node", "apiVersion": "v1", "metadata": {"name": "a1", "uid": "a1"}, "status": {}},
    ]
    folder.mkdir()
    (folder / "inventory.json").write_text(json.dumps({"kind": "List", "items": objects}))
    return folder


def test_i26_an_order_is_for_the_cluster_that_the_options_name(cli, paused, tmp_path):
    assert cli("pause", "--recording", recording(tmp_path / "a", "alpha")).exit_code == 0
    assert "not paused" in cli("resume", "--recording", recording(tmp_path / "b", "beta")).output
    assert (paused("alpha"), paused("beta")) == (True, False)


def test_i26_a_pause_needs_no_cluster_that_responds(cli, paused, tmp_path):
    """The cluster's API is down: the pause is for every cluster, and a resume is refused."""
    file = tmp_path / "kubeconfig"
    file.write_text(KUBECONFIG)
    done = cli("pause", "--kubeconfig", file)
    assert done.exit_code == 0
    assert "every cluster of this ledger is paused" in done.stderr
    assert cli("resume", "--kubeconfig", file).exit_code == 1
    assert (paused("alpha"), paused("beta")) == (True, True)
