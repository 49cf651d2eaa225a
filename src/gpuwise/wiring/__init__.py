"""Construct the adapters and connect them to the ports of the loop. No other package does this.

Forbidden here: decisions.
"""

from gpuwise.wiring.channels import senders
from gpuwise.wiring.clock import now
from gpuwise.wiring.clusters import (
    INVENTORY_FILE,
    NamedCluster,
    changeable,
    cluster,
    inventory_settings,
    known_fleet,
    named_cluster,
    recorded,
)
from gpuwise.wiring.executors import executor, workers
from gpuwise.wiring.ledgers import anchor, cost_history, ledger, ledger_database, must_exist, open_ledger
from gpuwise.wiring.loops import looking_back, loop, manual
from gpuwise.wiring.run_ends import Runs, runs
from gpuwise.wiring.secrets import secret
from gpuwise.wiring.settings import finops, loop_settings
from gpuwise.wiring.sources import checkpoints, gateway_use, levels, prices, prometheus, usage

__all__ = [
    "INVENTORY_FILE",
    "NamedCluster",
    "Runs",
    "anchor",
    "changeable",
    "checkpoints",
    "cluster",
    "cost_history",
    "executor",
    "finops",
    "gateway_use",
    "inventory_settings",
    "known_fleet",
    "ledger",
    "ledger_database",
    "levels",
    "looking_back",
    "loop",
    "loop_settings",
    "manual",
    "must_exist",
    "named_cluster",
    "now",
    "open_ledger",
    "prices",
    "prometheus",
    "recorded",
    "runs",
    "secret",
    "senders",
    "usage",
    "workers",
]
