"""How runs ended, by the status that each kind's controller writes."""

import json

import pytest
from tests.command import ran

from gpuwise.memory.ledger import SqliteLedger
from gpuwise.model.cost import CostDay, CostRow, GpuSeconds, Owner, Price
from gpuwise.sources.kubernetes.inventory import RecordedObjects
from gpuwise.sources.kubernetes.runs import ended_runs

START_S, END_S = 1_780_272_000, 1_780_272_000 + 86_400
WITHIN, BEFORE, AFTER = "2026-06-01T12:00:00Z", "2026-05-31T23:59:59Z", "2026-06-02T00:00:00Z"
VERSIONS = {
    "Job": "batch/v1",
    "JobSet": "jobset.x-k8s.io/v1alpha2",
    "PyTorchJob": "kubeflow.org/v1",
    "TrainJob": "trainer.kubeflow.org/v1alpha1",
    "RayJob": "ray.io/v1",
}

NODE = {"kind": "Node", "apiVersion": "v1", "metadata": {"name": "n0"}}


def item(kind, name, status):
    metadata = {"name": name, "namespace": "lab", "uid": f"uid-{kind}-{name}", "creationTimestamp": BEFORE}
    return {"kind": kind, "apiVersion": VERSIONS[kind], "metadata": metadata, "status": status}


def condition(kind, at=WITHIN, status="True"):
    return {"conditions": [{"type": "Suspended", "status": "False"}, {"type": kind, "status": status,
                                                                     "lastTransitionTime": at}]}  # fmt: skip


@pytest.fixture
def read(tmp_path):
    def of(*objects):
        file = tmp_path / "inventory.json"
        file.write_text(json.dumps({"kind": "List", "items": [NODE, *objects]}))
        return ended_runs(RecordedObjects(file), START_S, END_S)

    return of


def test_each_kind_says_how_it_ended(read):
    found = read(
        item("Job", "good", condition("Complete")),
        item("Job", "bad", condition("Failed")),
        item("Job", "running", {"active": 1}),
        item("Job", "not-yet", condition("Complete", status="False")),
        item("JobSet", "good", condition("Completed")),
        item("PyTorchJob", "good", condition("Succeeded")),
        item("TrainJob", "bad", condition("Failed")),
        item("RayJob", "good", {"jobStatus": "SUCCEEDED", "endTime": WITHIN}),
        item("RayJob", "bad", {"jobStatus": "FAILED", "endTime": WITHIN}),
        item("RayJob", "late", {"jobStatus": "STOPPED", "jobDeploymentStatus": "Failed", "endTime": WITHIN}),
        item("RayJob", "stopped", {"jobStatus": "STOPPED", "endTime": WITHIN}),
    )
    assert found == {
        ("lab", "Job/good"): True,
        ("lab", "Job/bad"): False,
        ("lab", "JobSet/good"): True,
        ("lab", "PyTorchJob/good"): True,
        ("lab", "TrainJob/bad"): False,
        ("lab", "RayJob/good"): True,
        ("lab", "RayJob/bad"): False,
        ("lab", "RayJob/late"): False,
    }


def test_only_what_ended_in_the_period_counts(read):
    assert read(item("Job", "old", condition("Complete", BEFORE)), item("Job", "new", condition("Failed", AFTER))) == {}


@pytest.mark.parametrize(
    "status", [condition("Complete", None), condition("Complete", "yesterday"), {"conditions": [3]}, {"conditions": 3}]
)
def test_an_odd_object_costs_itself(read, status):
    good = item("Job", "good", condition("Complete"))
    assert read(item("Job", "odd", status), item("RayJob", "odd", {"jobStatus": "FAILED"}), good) == {
        ("lab", "Job/good"): True
    }


def test_the_command_reads_the_cluster_of_which_it_is(tmp_path):
    """Two clusters have a Job of the same name in the history: only the one that is read has a known end."""
    (tmp_path / "recording").mkdir()
    space = {"kind": "Namespace", "apiVersion": "v1", "metadata": {"name": "kube-system", "uid": "uid-east"}}
    failed = item("RayJob", "tune", {"jobStatus": "FAILED", "endTime": WITHIN})
    objects = [NODE, space, item("Job", "train", condition("Complete")), failed]
    (tmp_path / "recording" / "inventory.json").write_text(json.dumps({"kind": "List", "items": objects}))
    price, time = Price("T4", usd_per_gpu_h=2.0), GpuSeconds(used=3_600.0)
    rows = [CostRow(START_S, Owner("lab", name, team="ml"), price, time) for name in ("Job/train", "RayJob/tune")]
    with SqliteLedger(tmp_path / "ledger.db") as ledger:
        for cluster in ("uid-east", "uid-west"):
            ledger.belongs_to(cluster)
            ledger.costs().record([CostDay(START_S, START_S, END_S, closed=True)], rows)
    options = ("--ledger", str(tmp_path / "ledger.db"), "--window", "2026-06", "--now", str(END_S), "-o", "json")
    done = ran("units", *options, "--recording", str(tmp_path / "recording"), home=tmp_path)
    assert done.returncode == 0, done.stderr
    (line,) = json.loads(done.stdout)["runs"]
    assert (line["namespace"], line["succeeded"], line["failed"]) == ("lab", 1, 1)
    assert (line["usd"], line["failed_usd"], line["usd_per_successful_run"]) == (4.0, 2.0, 4.0)
    space["metadata"]["uid"] = "uid-north"
    (tmp_path / "recording" / "inventory.json").write_text(json.dumps({"kind": "List", "items": objects}))
    found = json.loads(ran("units", *options, "--recording", str(tmp_path / "recording"), home=tmp_path).stdout)
    assert found["runs"] == []
    assert "the history is of 2 clusters" in found["runs_missing"]
