"""A policy is tested on a snapshot before it is merged: the laboratory decides as the product does."""

import gzip
import json
import re

import pytest
from tests.e2e.fleets import reviewing
from tests.e2e.test_plan_and_effect import fleet
from tests.recordings import NOW_S, record_fleet

__all__ = ["fleet"]

POLICY = """
mode: enforce
max_risk: 4
min_confidence: 0.3
budgets: {namespace/*: {disruptions: 1}, owner/*: {disruptions: 5}, pool/none: {disruptions: 5}}
rules: [{name: old, forbid_if: 'workload.name == "unknown" || recommendation.saving_usd_month < 0.0'}]
freezes: [{first: 2020-12-20, last: 2021-01-06, zone: Europe/Berlin, reason: end of year, namespaces: [prod]}]
"""


@pytest.fixture
def policy(tmp_path):
    """Write a policy file."""

    def write(text, name="policy.yaml"):
        (tmp_path / name).write_text(text)
        return tmp_path / name

    return write


def compared(gpuwise, file, taken, *more):
    return gpuwise("policy", "test", file, "--against", taken, *more, "-o", "json").data


def codes(decision):
    """A decision without names: what is done, and how often each reason blocks."""
    blocked = sorted((one["reason"], one["policy"], one["stage"]) for one in decision["holds"])
    return [(one["change"], len(one["limits"])) for one in decision["commands"]], blocked


@pytest.mark.parametrize("may_patch", [True, False])
def test_the_unchanged_policy_decides_exactly_as_plan_does(fleet, gpuwise, policy, tmp_path, may_patch):
    cluster, options = fleet
    file, kubeconfig = policy(POLICY), tmp_path / "kubeconfig"
    with reviewing(cluster, lambda right: may_patch or right["verb"] != "patch") as url:
        kubeconfig.write_text(kubeconfig.read_text().replace(cluster.url, url))
        planned = gpuwise("plan", *options, "--policy", file, "-o", "json").data
        made = gpuwise("snapshot", *options, "--policy", file, "--plain", "-o", tmp_path / "plain.gz")
        hidden = gpuwise("snapshot", *options, "--policy", file, "-o", tmp_path / "hidden.gz")
    assert (made.code, hidden.code) == (0, 0), made.err + hidden.err
    reasons = {one["reason"] for one in planned["holds"]}
    assert len(planned["commands"]) == (1 if may_patch else 0)
    assert ("BudgetExhausted" if may_patch else "NoRight") in reasons
    assert "ManagedByOther" in reasons
    found = compared(gpuwise, file, tmp_path / "plain.gz", "--detailed-exitcode")
    assert found["decision_before"] == found["decision_after"] == planned
    assert (found["differences"], found["notes"]) == ([], [])
    anonymous = compared(gpuwise, policy("mode: enforce", "other.yaml"), tmp_path / "hidden.gz")["decision_before"]
    assert codes(anonymous) == codes(planned)


def test_what_people_decided_is_part_of_a_snapshot(fleet, gpuwise, policy, tmp_path):
    _, options = fleet
    file = policy("mode: approve\nmax_risk: 4\n")
    planned = gpuwise("plan", *options, "--policy", file, "-o", "json").data
    waiting = [one["recommendation_id"] for one in planned["holds"] if one["reason"] == "NeedsApproval"]
    for verb, item in zip(("approve", "dismiss"), waiting, strict=True):
        assert gpuwise(verb, item, *options[2:4]).code == 0
    planned = gpuwise("plan", *options, "--policy", file, "-o", "json").data
    assert [one["recommendation_id"] for one in planned["commands"]] == waiting[:1]
    gpuwise("snapshot", *options, "--policy", file, "--plain", "-o", tmp_path / "s.gz")
    assert compared(gpuwise, file, tmp_path / "s.gz")["decision_after"] == planned
    assert "Dismissed" in {one["reason"] for one in planned["holds"]}


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    folder = tmp_path_factory.mktemp("recording")
    record_fleet(folder, nodes=6, days=15)
    return folder


@pytest.fixture
def options(recording):
    return ("--recording", recording, "--now", NOW_S, "--quiet")


def test_the_output_shows_what_a_change_of_the_policy_does(gpuwise, options, policy, tmp_path):
    old, new = (
        policy("mode: enforce\n", "old.yaml"),
        policy("mode: enforce\nprotected_namespaces: [search]\n", "new.yaml"),
    )
    assert gpuwise("snapshot", *options, "--policy", old, "--plain", "-o", tmp_path / "s.gz").code == 0
    planned = gpuwise("plan", *options, "--policy", new, "-o", "json").data
    found = compared(gpuwise, new, tmp_path / "s.gz")
    assert found["decision_after"] == planned
    lost = [one for one in found["differences"] if one["effect"] == "lost"]
    assert {one["workload"]["namespace"] for one in lost} == {"search"}
    assert {one["after"]["reason"] for one in lost} == {"ProtectedNamespace"}
    worth = sum(one["usd_month"] for one in lost)
    assert worth > 0
    assert found["before"]["usd_month"] - found["after"]["usd_month"] == pytest.approx(worth)
    assert found["before"]["budgets"][0]["planned"] - found["after"]["budgets"][0]["planned"] == len(lost)
    shown = gpuwise("policy", "test", new, "--against", tmp_path / "s.gz", "--detailed-exitcode")
    assert shown.code == 2
    assert f"gpuwise would no longer do ({len(lost)})" in shown.out
    assert "ProtectedNamespace (protected namespace:" in " ".join(shown.out.split())
    back = gpuwise("policy", "test", old, "--against", tmp_path / "s.gz", "--detailed-exitcode")
    assert (back.code, "The decisions are the same." in back.out) == (0, True)


def names_of(recording):
    """The names in a recorded inventory that identify something of the fleet."""
    found = set()
    for item in json.loads((recording / "inventory.json").read_text())["items"]:
        meta = item["metadata"]
        found |= {meta["name"], meta.get("namespace", ""), meta.get("uid", "")}
        found |= {value for key, value in (meta.get("labels") or {}).items() if key in ("team", "app", "owner")}
        found |= {one["name"] for one in (item.get("spec") or {}).get("containers", [])}
    public = {"", "kube-system", "gpu-operator", "monitoring", "gpuwise", "main", "true"}
    return found - public


def test_an_anonymised_snapshot_has_no_name_of_the_fleet(gpuwise, options, recording, policy, tmp_path):
    file = policy("mode: enforce\nprotected_namespaces: [search]\n")
    done = gpuwise("snapshot", *options, "--cluster-name", "fleet-of-acme", "--policy", file, "-o", tmp_path / "s.gz")
    assert "Names are pseudonyms" in done.err
    assert "these have pseudonyms, too: protected_namespaces search" in done.err
    text = gzip.decompress((tmp_path / "s.gz").read_bytes()).decode()
    words = set(re.findall(r"[A-Za-z0-9][A-Za-z0-9._-]*", text))
    names = names_of(recording) | {"fleet-of-acme"}
    assert len(names) > 50
    # Names of gpuwise's own fields and codes are no names of the fleet.
    fields = set(re.findall(r'"(\w+)":', text))
    assert (names & words) - fields == set()
    assert str(recording) not in text
    warned = gpuwise("policy", "test", file, "--against", tmp_path / "s.gz")
    assert "These match nothing: protected_namespaces search" in " ".join(warned.out.split())


def test_a_key_keeps_pseudonyms_and_translates_a_policy(gpuwise, options, policy, tmp_path):
    key, old = tmp_path / "key", policy("mode: enforce\n", "old.yaml")
    new = policy("mode: enforce\nprotected_namespaces: [search]\n", "new.yaml")
    for name in ("a.gz", "b.gz"):
        gpuwise("snapshot", *options, "--policy", old, "--key-file", key, "-o", tmp_path / name)
    assert (tmp_path / "a.gz").read_bytes() == (tmp_path / "b.gz").read_bytes()
    assert key.stat().st_mode & 0o077 == 0
    gpuwise("snapshot", *options, "--policy", old, "--plain", "-o", tmp_path / "plain.gz")
    plain = compared(gpuwise, new, tmp_path / "plain.gz")
    hidden = compared(gpuwise, new, tmp_path / "a.gz", "--key-file", key)
    assert codes(hidden["decision_after"]) == codes(plain["decision_after"])
    assert compared(gpuwise, new, tmp_path / "a.gz")["differences"] == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("moed: enforce", "unknown key moed; did you mean mode?"),
        ("policy: {mode: enforce}", "is a configuration, not a policy"),
        ("rules: [{name: a, forbid_if: 'x >'}]", "rules.0.forbid_if is 'x >': it is not valid CEL"),
        ("windows: [{start: 22:00, end: '06:00', zone: UTC}]", "write the time in quotes"),
    ],
)
def test_a_bad_policy_is_an_error_with_file_key_and_hint(gpuwise, policy, tmp_path, text, expected):
    done = gpuwise("policy", "test", policy(text), "--against", tmp_path / "s.gz")
    assert done.code == 1
    assert done.err.startswith("error: ")
    assert "policy.yaml" in done.err
    assert expected in done.err
    assert done.err.count("\n") == 1


def test_the_schema_is_that_of_the_repository(gpuwise):
    from tests.conftest import REPOSITORY

    assert gpuwise("policy", "schema").data == json.loads((REPOSITORY / "docs" / "policy.schema.json").read_text())


def test_the_printed_configuration_of_a_policy_file_can_be_loaded(gpuwise, policy, tmp_path):
    shown = gpuwise("config", "print", "--policy", policy("mode: enforce\nmax_risk: 3\n"))
    (tmp_path / "printed.yaml").write_text(shown.out)
    again = gpuwise("config", "print", "--config", tmp_path / "printed.yaml")
    assert again.code == 0, again.err
    assert "max_risk: 3" in again.out
