"""The election on the emulated API, with a clock that the test moves."""

import threading
from dataclasses import replace

import pytest
from tests.cluster_under_test import NAMESPACE

from gpuwise.cluster import KubernetesCluster
from gpuwise.lead.elector import Elector, Held
from gpuwise.lead.first_lists import FirstLists
from gpuwise.lead.leader import Leader
from gpuwise.lead.lease import Lease
from gpuwise.lead.settings import LeadSettings
from gpuwise.memory.ledger import SqliteLedger
from gpuwise.model.command import Term
from gpuwise.model.errors import ClusterError, InputError, LedgerError, NotLeader
from gpuwise.model.inventory import Inventory

PATH = f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases/gpuwise"
SETTINGS = LeadSettings()
DEADLINE_S = 60.0


class Clock:
    def __init__(self) -> None:
        self.now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture(scope="module")
def api(start_cluster):
    with start_cluster() as running:
        yield running


@pytest.fixture
def cluster(api, tmp_path):
    api.reset([])
    kubeconfig = api.write_kubeconfig(tmp_path / "config")
    with KubernetesCluster.connect(kubeconfig=kubeconfig, context=None, wait_budget_s=0.0) as client:
        yield client


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def elector(cluster, clock):
    """Make one; the wall clock of its process may be wrong by any time."""

    def make(name, *, ledger="l1", wall_s=1_795_000_000.0):
        return Elector(Lease(cluster, NAMESPACE, "gpuwise", lambda: wall_s), SETTINGS, name, ledger, clock)

    return make


def test_i6_one_of_two_gets_the_lease_and_its_epoch_is_the_number_of_transitions(elector, cluster, clock):
    one, two = elector("one"), elector("two")
    assert one.step(None) == Held(1, clock.now_s)
    assert two.step(None) is None
    found = cluster.get(PATH)
    assert (found["spec"]["holderIdentity"], found["spec"]["leaseTransitions"]) == ("one", 1)


@pytest.mark.parametrize("wall_s", [1_795_000_000.0 - 3_600, 1_795_000_000.0 + 3_600])
def test_i6_a_wrong_wall_clock_neither_shortens_nor_prolongs_a_lease(elector, clock, wall_s):
    one, two = elector("one"), elector("two", wall_s=wall_s)
    held = one.step(None)
    for _ in range(20):
        clock.now_s += SETTINGS.retry_period_s
        held = one.step(held)
        assert two.step(None) is None
    for _ in range(7):
        assert two.step(None) is None
        clock.now_s += SETTINGS.retry_period_s
    clock.now_s += SETTINGS.retry_period_s
    assert two.step(None).epoch == 2


def test_i6_a_process_that_starts_waits_a_whole_lease_whatever_the_object_says(elector, clock):
    elector("one").step(None)
    clock.now_s += 10_000
    two = elector("two")
    assert two.step(None) is None
    clock.now_s += SETTINGS.lease_duration_s
    assert two.step(None) is None
    clock.now_s += 0.001
    assert two.step(None).epoch == 2


def test_a_released_lease_is_taken_at_once(elector, clock):
    one, two = elector("one"), elector("two")
    held = one.step(None)
    assert two.step(None) is None
    one.release(held)
    assert two.step(None) == Held(2, clock.now_s)


def test_i6_a_leader_whose_lease_was_taken_finds_out_and_does_not_take_it_back(elector, clock):
    one, two = elector("one"), elector("two")
    held = one.step(None)
    assert two.step(None) is None
    clock.now_s += SETTINGS.lease_duration_s + 1
    assert two.step(None).epoch == 2
    assert one.step(held) is None


def test_a_leader_keeps_its_lease_when_somebody_edits_the_object(elector, cluster, clock):
    one = elector("one")
    held = one.step(None)
    edit = {"metadata": {"labels": {"edited": "yes"}}}
    cluster.patch(PATH, edit, content_type="application/merge-patch+json")
    clock.now_s += 2
    assert one.step(held) == Held(1, clock.now_s)


def test_i7_a_lease_counts_from_before_the_request_of_its_renewal(elector, clock, api):
    one = elector("one")
    held = one.step(None)
    api.fail(500, times=1, path="/leases")
    clock.now_s += 2
    with pytest.raises(ClusterError):
        one.step(held)
    assert one.step(held) == Held(1, clock.now_s)


def test_a_process_with_another_ledger_does_not_take_over(elector, clock, cluster):
    one, two = elector("one"), elector("two", ledger="l2")
    one.release(one.step(None))
    with pytest.raises(LedgerError, match="had ledger l1, and this process has l2"):
        two.step(None)
    gone = {"metadata": {"annotations": {"gpuwise.dev/ledger": None}}}
    cluster.patch(PATH, gone, content_type="application/merge-patch+json")
    assert two.step(None).epoch == 2


@pytest.mark.parametrize(
    "wrong", [{"renew_deadline_s": 15.0}, {"retry_period_s": 9.0}, {"retry_period_s": 0.0}, {"lease_duration_s": 5.0}]
)
def test_durations_that_do_not_fit_together_are_refused(wrong):
    with pytest.raises(InputError):
        replace(SETTINGS, **wrong).check()


class Ends:
    """Stands for the end of the process."""

    def __init__(self) -> None:
        self.ended = threading.Event()
        self.why: list[str] = []
        self.armed: list[float] = []

    def __call__(self, why: str) -> None:
        self.why.append(why)
        self.ended.set()


QUICK = LeadSettings(lease_duration_s=1.5, renew_deadline_s=1.0, retry_period_s=0.1)


@pytest.fixture
def leader(cluster):
    """Start one that has short leases, in real time; it is closed at the end."""
    started = []

    def start(name="one", *, settings=QUICK, least=0, **more):
        from gpuwise.lead.clock import monotonic

        ends = Ends()
        elector = Elector(Lease(cluster, NAMESPACE, "gpuwise", lambda: 1.0), settings, name, "l1", monotonic)
        elector.least_epoch = least
        found = Leader(elector, settings, name, end=ends, arm=ends.armed.append, **more)
        found.start()
        started.append(found)
        return found, ends

    yield start
    for one in started:
        one.close()


def test_i4_a_new_leader_writes_nothing_before_the_cluster_was_listed_in_its_term(leader):
    found, _ = leader()
    assert found.wait(DEADLINE_S)
    with pytest.raises(NotLeader, match="has not been listed in it yet"):
        found.epoch()
    found.warmed(found.term())
    assert found.epoch() == 1


def test_i7_the_leader_stops_at_its_deadline_and_the_process_ends_before_the_lease_expires(leader, api):
    found, ends = leader()
    assert found.wait(DEADLINE_S)
    found.warmed(1)
    api.fail(500, times=10_000, path="/leases")
    assert ends.ended.wait(DEADLINE_S)
    assert "could not be renewed and expires now" in ends.why[0]
    with pytest.raises(NotLeader, match="could not be renewed until its deadline"):
        found.epoch()
    assert all(0 < seconds < QUICK.lease_duration_s for seconds in ends.armed)
    api.forget()


def test_i7_the_process_ends_also_while_a_renewal_hangs(leader):
    """The watchdog is a thread of its own: the request of the election may hang for its whole timeout."""
    found, ends = leader()
    assert found.wait(DEADLINE_S)
    with found._step:  # the thread of the election cannot go on
        assert ends.ended.wait(DEADLINE_S)


def test_incident_cilium_42920_and_kyverno_14984_two_processes_are_never_leaders_at_once(leader):
    """cilium#42920, kyverno#14984: two active leaders."""
    one, _ = leader("one")
    assert one.wait(DEADLINE_S)
    two, _ = leader("two")
    assert not two.wait(3 * QUICK.lease_duration_s)
    one.close()
    assert two.wait(DEADLINE_S)
    assert (one.term(), two.term()) == (None, 2)


class Lists:
    """An inventory whose lists a test controls."""

    def __init__(self) -> None:
        self.error: ClusterError | None = None
        self.during = lambda: None

    def snapshot(self, now_s):
        self.during()
        if self.error is not None:
            raise self.error
        return Inventory(now_s, (), {}, {}, cluster="c1")


def test_incident_autoscaler_7419_no_effect_before_every_list_succeeded_in_this_term(leader, tmp_path):
    found, _ = leader()
    assert found.wait(DEADLINE_S)
    lists = Lists()
    with SqliteLedger(tmp_path / "l.db") as ledger:
        source = FirstLists(lists, found, ledger, "c", lambda: 5)
        lists.error = ClusterError("429", hint="later")
        with pytest.raises(ClusterError):
            source.snapshot(1)
        with pytest.raises(NotLeader):
            found.epoch()
        assert ledger.term() is None
        lists.error = None
        source.snapshot(2)
        assert found.epoch() == 1
        assert ledger.term() == Term(1, "one", 5, "c1")
        source.snapshot(3)
        assert found.epoch() == 1


def test_incident_kubernetes_24200_lists_that_began_before_the_takeover_do_not_count(leader, tmp_path):
    found, _ = leader()
    lists = Lists()
    with SqliteLedger(tmp_path / "l.db") as ledger:
        assert found.wait(DEADLINE_S)
        other, _ = leader("two")
        source = FirstLists(lists, other, ledger, "c", lambda: 5)

        def take_over():
            found.close()
            assert other.wait(DEADLINE_S)

        lists.during = take_over
        source.snapshot(1)
        with pytest.raises(NotLeader, match="has not been listed"):
            other.epoch()
        lists.during = lambda: None
        source.snapshot(2)
        assert other.epoch() == 2


def test_i6_a_recreated_lease_gets_an_epoch_above_those_of_the_ledger(leader, tmp_path, cluster):
    with SqliteLedger(tmp_path / "l.db") as ledger:
        ledger.begin_term(Term(7, "zero", 1))
        found, _ = leader()
        assert found.wait(DEADLINE_S)
        FirstLists(Lists(), found, ledger, "c", lambda: 5).snapshot(1)
        assert found.epoch() == 8
        assert ledger.term().epoch == 8
    assert cluster.get(PATH)["spec"]["leaseTransitions"] == 8
