"""The commands of the README's "Point it at your cluster" and "Let it act", in its order, against a real Prometheus."""

import re
import shlex
import time

from tests.api_requests import changes
from tests.conftest import REPOSITORY
from tests.e2e.conftest import AT_ONCE, gpu_node, of_namespace
from tests.prometheus_server import NEEDS_PROMETHEUS

from gpuwise.emulate.objects import statefulset

pytestmark = NEEDS_PROMETHEUS

STEP_S = 300
LABELS = 'gpu="0",UUID="GPU-0",modelName="NVIDIA A100-SXM4-80GB",namespace="sandbox",pod="forgotten-0"'
IDLE = {"DCGM_FI_DEV_GPU_UTIL": 0, "DCGM_FI_DEV_POWER_USAGE": 61, "DCGM_FI_DEV_FB_USED": 20_000}


def commands():
    text = (
        (REPOSITORY / "README.md").read_text().split("## Point it at your cluster")[1].split("## What it recommends")[0]
    )
    lines = [line for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL) for line in block.splitlines()]
    return [shlex.split(line, comments=True)[1:] for line in lines if line.startswith("gpuwise ")]


def idle_for_ten_days(now_s):
    # Until half an hour later: on a busy machine the commands take longer than the step in which the samples would end.
    times = range(now_s - 10 * 86_400, now_s + 1_800, STEP_S)
    return "".join(
        f"# TYPE {name} gauge\n" + "".join(f"{name}{{{LABELS}}} {value} {at}\n" for at in times)
        for name, value in IDLE.items()
    )


def test_each_command_of_the_readme_works(start_cluster, start_prometheus, gpuwise_process, tmp_path):
    prometheus = start_prometheus(series=idle_for_ten_days(int(time.time())))
    fleet = [gpu_node("node-0"), of_namespace("sandbox"), statefulset("forgotten", namespace="sandbox")]
    outputs, ids = {}, {}
    with start_cluster(fleet) as cluster:
        env = AT_ONCE | {
            "GPUWISE_PROMETHEUS_URL": prometheus,
            "KUBECONFIG": str(cluster.write_kubeconfig(tmp_path / "config")),
        }
        for command in commands():
            arguments = [ids.get(word[:2], word) if re.fullmatch(r"[ra]-\d{10}", word) else word for word in command]
            done = gpuwise_process(*arguments, *(["--yes"] if command[0] in ("apply", "undo") else []), env=env)
            assert done.code == 0, (command, done.err)
            outputs[command[0]] = done.out
            ids |= {found[:2]: found for found in re.findall(r"\b[ra]-[0-9a-f]{10}\b", done.out)}
            if command[0] == "plan":
                assert [request for request in cluster.requests if changes(request)] == []
    assert list(outputs) == [
        "doctor",
        "scan",
        "explain",
        "plan",
        "apply",
        "undo",
        "run",
        "report",
        "pause",
        "wake",
        "patch",
        "cost",
        "anomalies",
        "energy",
        "tags",
        "orphans",
        "units",
        "kpis",
    ]
    assert "3 GPU series from dcgm" in outputs["doctor"]
    assert "sandbox/StatefulSet/forgotten" in outputs["scan"]
    assert "power_watts: idle" in outputs["explain"]
    assert "scale to 0" in outputs["plan"]
    assert "applied" in outputs["apply"]
    assert "the boards alone (finops.pue is not set)" in outputs["energy"]
    assert "sandbox / StatefulSet/forgotten / no known units" in outputs["units"]
    assert "idle share" in outputs["kpis"]
    assert "sandbox/StatefulSet/forgotten" in outputs["tags"]
    assert "No namespace is known to have left its GPUs unused for" in outputs["orphans"]  # the history has ten days
    assert "undone" in outputs["undo"]
