"""The ledger's head in the cluster: rows deleted from the file, or a restored old copy, are detected."""

import shutil
import sqlite3
from pathlib import Path

import pytest

from gpuwise.cluster import KubernetesCluster
from gpuwise.emulate import READER_TOKEN
from gpuwise.memory.ledger import SqliteLedger
from gpuwise.memory.ledger_anchor import NAME, AnchoredLedger, ConfigMapAnchor, agree, parse_head
from gpuwise.model.changes import ScaleTo
from gpuwise.model.command import FLEET, Command, Intent, Limit, Outcome, OutcomeStatus
from gpuwise.model.errors import ClusterError, LedgerError
from gpuwise.model.inventory import WorkloadRef

REF = WorkloadRef("research", "Deployment", "chat", "uid-1")
PATH = f"/api/v1/namespaces/gpuwise/configmaps/{NAME}"


@pytest.fixture(scope="module")
def api(start_cluster):
    with start_cluster() as running:
        yield running


@pytest.fixture
def cluster(api, tmp_path):
    api.reset([{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "gpuwise"}}])
    with KubernetesCluster.connect(
        kubeconfig=api.write_kubeconfig(tmp_path / "config"), context=None, wait_budget_s=0.2
    ) as cluster:
        yield cluster


@pytest.fixture
def opened(cluster, tmp_path):
    """Open the ledger, as a starting process does."""
    ledgers = []

    def start(reader=cluster):
        ledgers.append(AnchoredLedger(tmp_path / "ledger.db", ConfigMapAnchor(reader, "gpuwise")))
        return ledgers[-1]

    yield start
    for ledger in ledgers:
        ledger.close()


def spend(ledger, number, at_s=1_000):
    intent = Intent(Command(f"a-{number}", "r-1", REF, ScaleTo(0), "policy"), at_s, "7", {"replicas": 2}, {})
    return ledger.record_intent(intent, limits=[Limit(FLEET, 10, 3_600)]) is None


def tamper(path, statement):
    db = sqlite3.connect(path)
    db.executescript(f"DROP TRIGGER no_update; DROP TRIGGER no_delete; {statement}")
    db.close()


def test_the_head_is_updated_with_each_intent_and_each_run(cluster, opened):
    ledger = opened()
    spend(ledger, 0)
    head = ledger.head()
    assert cluster.get(PATH)["data"] == {head.ledger: f"1:{head.digest}"}
    ledger.record_run(2_000, [], [])
    assert cluster.get(PATH)["data"] == {head.ledger: f"2:{ledger.head().digest}"}


def test_i25_deleted_newest_rows_are_detected(opened):
    ledger = opened()
    for number in range(3):
        spend(ledger, number)
    ledger.close()
    tamper(ledger.place, "DELETE FROM events WHERE seq > 1")
    with SqliteLedger(Path(ledger.place)) as alone:
        assert alone.head().seq == 1  # the chain alone is valid
    again = opened()
    with pytest.raises(LedgerError, match=r"ends at row 1, but ConfigMap .* has row 3: rows were deleted"):
        spend(again, 9)
    assert again.intent("a-9") is None


def test_i25_a_restored_old_copy_of_the_file_is_detected(opened, tmp_path):
    ledger = opened()
    spend(ledger, 0)
    ledger.close()
    shutil.copy(ledger.place, tmp_path / "yesterday.db")
    later = opened()
    spend(later, 1)
    later.close()
    shutil.copy(tmp_path / "yesterday.db", ledger.place)
    with pytest.raises(LedgerError, match="older copy"):
        opened().record_run(2_000, [], [])
    # The same number of rows, but different ones.
    with SqliteLedger(Path(ledger.place)) as alone:
        spend(alone, 7)
    with pytest.raises(LedgerError, match=r"row 2 of ledger .* differs from the one stored"):
        spend(opened(), 8)


def test_rows_deleted_while_a_process_has_the_file_open_are_detected(opened):
    ledger = opened()
    for number in range(3):
        spend(ledger, number)
    tamper(ledger.place, "DELETE FROM events WHERE seq > 1")
    with pytest.raises(LedgerError, match="rows were deleted"):
        spend(ledger, 9)


@pytest.mark.parametrize("how", ["deleted", "replaced"])
def test_i25_a_file_moved_or_replaced_while_a_process_has_it_open_is_detected(opened, tmp_path, how):
    """SQLite keeps using the open file, so later writes would be lost when the process ends."""
    ledger = opened()
    spend(ledger, 0)
    (tmp_path / "ledger.db").rename(tmp_path / "aside.db")
    if how == "replaced":
        shutil.copy(tmp_path / "aside.db", tmp_path / "ledger.db")
    with pytest.raises(LedgerError, match="deleted or replaced"):
        spend(ledger, 1)
    with pytest.raises(LedgerError, match="deleted or replaced"):
        ledger.check()


def test_two_processes_with_one_ledger_update_one_head(cluster, opened):
    one, two = opened(), opened()
    for number, ledger in enumerate([one, two, two, one, two]):
        assert spend(ledger, number)
    assert cluster.get(PATH)["data"][one.head().ledger].startswith("5:")


def test_another_ledger_has_its_own_head(cluster, opened, tmp_path):
    spend(opened(), 0)
    with AnchoredLedger(tmp_path / "other.db", ConfigMapAnchor(cluster, "gpuwise")) as other:
        spend(other, 0)
    assert len(cluster.get(PATH)["data"]) == 2


def test_without_the_right_to_write_the_config_map_the_ledger_works_and_reports_it(api, opened, tmp_path):
    kubeconfig = api.write_kubeconfig(tmp_path / "reader", token=READER_TOKEN)
    with KubernetesCluster.connect(kubeconfig=kubeconfig, context=None) as reader:
        ledger = opened(reader)
        assert spend(ledger, 0)
        assert "forbidden" in ledger.anchor.problem
        assert "is not stored in the cluster" in ledger.anchor.state(ledger)


def test_a_missing_namespace(cluster, tmp_path):
    with AnchoredLedger(tmp_path / "l.db", ConfigMapAnchor(cluster, "gpuwise-nowhere")) as ledger:
        assert spend(ledger, 0)
        assert 'namespaces "gpuwise-nowhere" not found' in ledger.anchor.problem


def test_a_new_ledger_beside_a_lost_one_is_reported(cluster, opened, tmp_path):
    lost = opened()
    spend(lost, 0)
    with AnchoredLedger(tmp_path / "new.db", ConfigMapAnchor(cluster, "gpuwise")) as ledger:
        ledger.anchor.compare(ledger)
        assert f"only for {lost.head().ledger}" in ledger.anchor.state(ledger)


def test_no_effect_is_recorded_if_the_cluster_does_not_respond(api, opened):
    ledger = opened()
    api.fail(500, times=1000, path="/configmaps")
    with pytest.raises(ClusterError):
        spend(ledger, 0)


@pytest.mark.parametrize("text", ["", "x", "x:1", "x:one:abc", "x:-1:abc", "x:³:abc", f"x:{10**30}:abc"])
def test_text_that_is_not_a_head_is_an_error(text):
    with pytest.raises(LedgerError, match="is not a ledger head"):
        parse_head(text)


def test_a_head_from_a_report_is_compared(tmp_path):
    with SqliteLedger(tmp_path / "l.db") as ledger:
        spend(ledger, 0)
        head = parse_head(str(ledger.head()))
        spend(ledger, 1)
        agree(ledger, head, "the report")
    tamper(tmp_path / "l.db", "DELETE FROM events")
    with SqliteLedger(tmp_path / "l.db") as ledger, pytest.raises(LedgerError, match="the report has row 1"):
        agree(ledger, head, "the report")


def test_i5_only_effects_spend_the_budget(tmp_path):
    """An intent that is known to have written nothing does not count against the budget; an unknown one does."""
    with SqliteLedger(tmp_path / "l.db") as ledger:
        for number, status in enumerate([OutcomeStatus.NOT_APPLIED, OutcomeStatus.UNKNOWN, OutcomeStatus.APPLIED]):
            spend(ledger, number)
            ledger.record_outcome(Outcome(f"a-{number}", 1_001, status, None, ""))
        third = Intent(Command("a-9", "r", REF, ScaleTo(0), "policy"), 1_002, "7", {}, {})
        assert ledger.record_intent(third, limits=[Limit(FLEET, 2, 3_600)]) == Limit(FLEET, 2, 3_600)
        ledger.record_outcome(Outcome("a-1", 1_100, OutcomeStatus.NOT_APPLIED, None, "seen"))
        assert ledger.record_intent(third, limits=[Limit(FLEET, 2, 3_600)]) is None
