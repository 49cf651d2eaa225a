"""One failover: two real processes of `gpuwise run`, one of which is stopped by SIGSTOP while its write hangs."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

from gpuwise.emulate import ADMIN_TOKEN
from gpuwise.emulate.objects import deployment
from gpuwise.model.labels import ACTION_ID
from tests.api_requests import effects
from tests.cluster_under_test import NAMESPACE, emulated
from tests.e2e.fleets import STEP_S, listed, recorded
from tests.failovers.holding_proxy import HoldingProxy
from tests.failovers.result import Result

GPUWISE = Path(sys.executable).with_name("gpuwise")
DAYS = 8
IDLE, BUDGET = 5, 3
LEASE_S = {"LEASE_DURATION_S": 5.0, "RENEW_DEADLINE_S": 3.0, "RETRY_PERIOD_S": 0.5}
DEADLINE_S = 180.0


@dataclass(frozen=True)
class Process:
    """One `gpuwise run`, behind its proxy."""

    proxy: HoldingProxy
    started: "subprocess.Popen[str]"
    log: Path

    def writes(self) -> int:
        """Its writes to workloads that the API server accepted."""
        return sum(effects(one) and one.status < 300 for one in self.proxy.requests)


def wait_for(done: Callable[[], object], what: str) -> None:
    """Check every 10 ms until the result is truthy."""
    end = time.monotonic() + DEADLINE_S
    while not done():
        if time.monotonic() > end:
            raise AssertionError(f"{what} did not happen within {DEADLINE_S:.0f} s")
        time.sleep(0.01)


def failover(folder: Path, number: int, ledger: Mapping[str, str] | None = None) -> Result:
    """Run one.

    Args:
        folder: empty, for its files.
        number: which of the leader's writes hangs alternates with it.
        ledger: variables that name the ledger of both; None for one SQLite file.
    """
    ledger = ledger or {"GPUWISE_LEDGER_PATH": str(folder / "ledger.db")}
    objects = [deployment(f"idle-{one}", namespace="prod", replicas=1) for one in range(IDLE)]
    objects += [deployment(f"busy-{one}", namespace="prod", replicas=2) for one in range(IDLE)]
    objects += [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "prod"}}]
    end_s = (int(time.time()) // STEP_S + 12) * STEP_S  # an hour from now: usage is known for as long as this runs
    with recorded(emulated, objects, folder, days=DAYS, now_s=end_s) as (cluster, recording), ExitStack() as stack:
        pair = [
            stack.enter_context(_process(folder, name, cluster.url, recording, held=number % BUDGET + 1, ledger=ledger))
            for name in ("one", "two")
        ]
        wait_for(lambda: any(one.proxy.arrived.is_set() for one in pair), "a write of the first leader")
        old, new = pair if pair[0].proxy.arrived.is_set() else pair[::-1]
        new.proxy.go_on.set()  # nothing of the next leader hangs
        old.started.send_signal(signal.SIGSTOP)
        stopped_s = time.monotonic()
        wait_for(new.writes, "a write of the next leader")
        resumed_s = time.monotonic() - stopped_s
        return Result(resumed_s, tuple(_violations(cluster, old, new)))


def _violations(cluster, old: Process, new: Process) -> Iterator[str]:
    before = old.writes()
    old.proxy.go_on.set()
    wait_for(lambda: old.proxy.answer is not None, "the answer to the write that hung")
    if old.proxy.answer != 409:
        yield f"the write that hung got {old.proxy.answer} after the takeover, not 409"
    old.started.send_signal(signal.SIGCONT)
    code = old.started.wait(DEADLINE_S)
    if code not in (-signal.SIGALRM, 75):
        yield f"the old leader ended with {code}: {old.log.read_text()[-300:]}"
    if old.writes() != before:
        yield "the old leader wrote after the takeover"
    wait_for(lambda: len(_changed(cluster)) >= BUDGET, "all effects of the budget")
    new.started.terminate()
    if (code := new.started.wait(DEADLINE_S)) != 0:
        yield f"the next leader ended with {code}: {new.log.read_text()[-300:]}"
    if len(_changed(cluster)) > BUDGET:
        yield f"{len(_changed(cluster))} effects against a budget of {BUDGET}"
    lease = listed(cluster, f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases")[0]["spec"]
    if lease.get("holderIdentity"):
        yield "the lease was not released"
    if lease["leaseTransitions"] != 2:
        yield f"{lease['leaseTransitions']} terms instead of 2"


def _changed(cluster) -> list[str]:
    found = listed(cluster, "/apis/apps/v1/namespaces/prod/deployments")
    return [one["metadata"]["name"] for one in found if ACTION_ID in (one["metadata"].get("annotations") or {})]


@contextmanager
def _process(
    folder: Path, name: str, url: str, recording: Path, *, held: int, ledger: Mapping[str, str]
) -> Iterator[Process]:
    proxy = HoldingProxy(url, held)
    proxy.start()
    kubeconfig = folder / f"{name}.yaml"
    kubeconfig.write_text(yaml.safe_dump(_kubeconfig(proxy.url)))
    lead = {f"GPUWISE_LEAD_{key}": str(value) for key, value in LEASE_S.items()}
    ours = {
        "HOME": str(folder),
        "GPUWISE_LEDGER_ANCHOR_NAMESPACE": NAMESPACE,
        "GPUWISE_LEAD_NAMESPACE": NAMESPACE,
        "GPUWISE_POLICY_BUDGET_DISRUPTIONS": str(BUDGET),
    }
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("GPUWISE_", "KUBECONFIG"))}
    options = ("--recording", recording, "--kubeconfig", kubeconfig, "--look-back-h", DAYS * 24)
    log = folder / f"{name}.log"
    with log.open("w") as out:
        started = subprocess.Popen(
            [GPUWISE, "run", "--mode", "enforce", "--interval", "1", "--quiet", *map(str, options)],
            env=inherited | ours | lead | dict(ledger),
            stdout=out,
            stderr=out,
            stdin=subprocess.DEVNULL,
            text=True,
        )
    try:
        yield Process(proxy, started, log)
    finally:
        proxy.go_on.set()
        if started.poll() is None:
            started.send_signal(signal.SIGCONT)
            started.kill()
        started.wait()
        proxy.stop()


def _kubeconfig(url: str) -> dict[str, object]:
    return json.loads(
        json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [{"name": "c", "cluster": {"server": url}}],
                "users": [{"name": "u", "user": {"token": ADMIN_TOKEN}}],
                "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
                "current-context": "c",
            }
        )
    )
