"""`gpuwise policy check` as a team runs it: in CI, before it deploys."""

import json
import os
import subprocess

import pytest
import yaml
from tests.e2e.conftest import GPUWISE, gpu_node, of_namespace
from tests.lint.test_check import A100, deployment

from gpuwise.memory.ledger import SqliteLedger

BAD = deployment({"requests": {"nvidia.com/gpu": 1}})
CONFIG = {"recommend": {"regions_by_data_class": {"voices": ["eu-west-1"]}}}


@pytest.fixture
def write(tmp_path):
    def to(name, *items):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("---\n".join(yaml.safe_dump(one) for one in items))
        return file

    return to


def test_files_and_folders_with_the_exit_codes_of_a_linter(gpuwise, write, tmp_path):
    good = write("app/good.yaml", deployment(nodeSelector=A100))
    clean = gpuwise("policy", "check", good)
    assert clean.code == 0, clean.err
    assert f"{good}:14: info Cost: prod-chat/Deployment/chat: 2 GPUs (A100-80GB on-demand) cost" in clean.out
    assert clean.err == "1 objects, 1 with GPUs: 0 error, 0 warning, 1 info\n"
    write("app/values.yaml", {"replicas": 3})
    (tmp_path / "app" / "template.yaml").write_text("a: [\n{{ .Values.x }}\n")
    bad = write("app/inner/bad.yml", BAD)
    found = gpuwise("policy", "check", tmp_path / "app")
    assert found.code == 1
    assert f"{bad}:17: error LimitMismatch: " in found.out
    assert ": info Template: a template is not checked" in found.out
    few = write("few.yaml", deployment({"limits": {"nvidia.com/gpu": 8, "cpu": 1}}, nodeSelector=A100))
    assert [gpuwise("policy", "check", few, *more).code for more in ((), ("--strict",))] == [0, 1]


def test_standard_input_json_and_sarif(gpuwise, write, tmp_path):
    text = write("bad.yaml", BAD).read_text()
    command = [GPUWISE, "policy", "check", "-", "-o", "json"]
    home = {**os.environ, "HOME": str(tmp_path)}
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False, timeout=60, env=home)
    assert done.returncode == 1
    found = json.loads(done.stdout)
    assert [(one["code"], one["file"], one["line"]) for one in found["findings"] if one["severity"] == "error"] == [
        ("LimitMismatch", "-", 17)
    ]
    shown = gpuwise("policy", "check", write("bad.yaml", BAD), "-o", "sarif")
    results = json.loads(shown.out)["runs"][0]["results"]
    assert {(one["ruleId"], one["level"]) for one in results} == {("LimitMismatch", "error"), ("CostUnknown", "note")}


def test_standard_input_that_is_no_text_is_a_finding(tmp_path):
    home = {**os.environ, "HOME": str(tmp_path)}
    command = [GPUWISE, "policy", "check", "-"]
    done = subprocess.run(command, input=b"a: \xff\xfe", capture_output=True, check=False, timeout=60, env=home)
    assert done.returncode == 1
    assert done.stdout == b"-:1: error Unreadable: it is not text in UTF-8\n"


def test_the_budgets_left_are_those_of_the_configured_ledger(gpuwise, write, tmp_path):
    """With ledger.url, the file of ledger.path is not the ledger: what it says is left may be used up."""
    item = write("app.yaml", deployment(nodeSelector=A100))
    policy = write("policy.yaml", {"budgets": {"namespace/*": {"disruptions": 3}}})
    with SqliteLedger(tmp_path / "ledger.db"):
        pass
    config = {"ledger": {"path": str(tmp_path / "ledger.db")}}
    options = (item, "--policy", policy, "--config")
    assert "3 of 3 disruptions" in gpuwise("policy", "check", *options, write("file.yaml", config)).out
    config["ledger"]["url"] = "postgresql://gpuwise@127.0.0.1:1/gpuwise"
    done = gpuwise("policy", "check", *options, write("url.yaml", config))
    assert done.code == 1
    assert "127.0.0.1:1" in done.err
    assert done.err.count("\n") == 1


def test_the_policy_and_the_nodes_of_the_cluster_count(gpuwise, write, start_cluster, tmp_path):
    nodes = [gpu_node(f"node-{number}") for number in range(2)]
    for item, region in zip(nodes, ("eu-west-1", "us-east-1"), strict=True):
        item["metadata"]["labels"]["topology.kubernetes.io/region"] = region
    policy = write("policy.yaml", {"required_labels": {"prod-*": ["owner"]}})
    options = ("--policy", policy, "--config", write("gpuwise.yaml", CONFIG))
    item = write("app.yaml", deployment())
    with start_cluster([*nodes, of_namespace("prod-chat", **{"gpuwise.dev/data-class": "voices"})]) as cluster:
        kubeconfig = ("--kubeconfig", cluster.write_kubeconfig(tmp_path / "kubeconfig"))
        found = gpuwise("policy", "check", item, *options, *kubeconfig)
        assert {one.verb for one in cluster.requests} <= {"get", "list"}
    assert found.code == 1
    assert "RequiredLabelMissing: prod-chat/Deployment/chat: namespace prod-chat requires the label owner" in found.out
    assert "RegionForbidden: prod-chat/Deployment/chat: its pods could start in us-east-1;" in found.out
    assert "info Cost: prod-chat/Deployment/chat: 2 GPUs (A100-80GB on-demand)" in found.out
    alone = gpuwise("policy", "check", item, *options)
    assert "RegionForbidden" not in alone.out  # the class is on the namespace of the cluster
    assert "CostUnknown" in alone.out


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((), "no manifest is given; name files or folders"),
        (("/nowhere.yaml",), "cannot read /nowhere.yaml: No such file or directory"),
    ],
)
def test_a_mistake_is_an_error_with_a_hint(gpuwise, arguments, expected):
    done = gpuwise("policy", "check", *arguments)
    assert done.code == 1
    assert expected in done.err


def test_all_codes_are_listed(gpuwise):
    lines = gpuwise("policy", "check", "--codes").out.splitlines()
    assert len(lines) == 18
    assert all(line.endswith(".") for line in lines)
