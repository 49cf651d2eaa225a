"""Small inputs modelled on public reports, outside of the repository: in $GPUWISE_CASES or ../shared/cases."""

import os
from pathlib import Path

import pytest

CASES = Path(os.environ.get("GPUWISE_CASES") or Path(__file__).parents[2] / "shared" / "cases")

NAMES = {
    "reading": (
        "aligned-ranges",
        "compute-instance",
        "dcgm-exporter-1-names",
        "dra-device-names",
        "finished-pods",
        "frozen-exporter",
        "gke-cut-node",
        "gke-shared-node",
        "ha-pair-doubles-requests",
        "hami-names-before-rename",
        "hami-split-node",
        "hami-zero-on-a-busy-card",
        "karpenter-a100",
        "limits-not-recognised",
        "mismatch-at-the-start",
        "name-by-regex-refused",
        "namesake-in-another-cluster",
        "nested-container",
        "node-held-by-other-resource",
        "node-held-by-resource-claims",
        "node-without-product-label",
        "quantity-with-suffix",
        "remote-read-over-the-limit",
        "unmeasured-replicas",
        "vgpu-guest",
    ),
    "acting": (
        "bare-command",
        "busy-node-given-back",
        "consolidate-anti-affinity",
        "consolidate-onto-cordoned",
        "consolidate-onto-tainted",
        "dra-claims",
        "foreign-protection",
        "gitops-fleet-configsync-kapp",
        "hami-gpumem",
        "hami-gpumem-only",
        "helm-argocd-token",
        "helm-no-prices-or-policy",
        "helm-nodeselector-merge",
        "helm-openshift-uid",
        "jobset-child-job",
        "kubeconfig-exec-plugin",
        "kueue-job",
        "paused-deployment",
        "plan-not-deed",
        "pod-labelled-team",
        "price-file-euros",
        "price-file-partial",
        "report-mixes-clusters",
        "report-week-without-data",
        "right-owned-and-guarded",
        "rolling-update-deadlock",
        "scan-namespace-headline",
        "spot-labels-elsewhere",
        "statefulset-pvc-delete",
        "static-pod",
        "week-9999",
    ),
    "money": (
        "deleted-job-unbilled",
        "exporter-down-is-unallocated",
        "gone-node-nets-against-a-present-one",
        "headline-zero-where-unpriced",
        "idle-low-end-beyond-forecast",
        "mig-by-compute-here-by-memory-there",
        "no-price-where-both-are-priced",
        "node-added-in-window",
        "one-card-billed-twice",
        "one-hour-job-times-730",
        "pods-in-turn-counted-twice",
        "realised-and-predicted",
        "reclaimed-spot-node-at-full-price",
        "saving-on-reserved",
        "shared-card-by-median",
    ),
}
"""Their names, by kind. docs/safety.md lists each with the files that test it."""

WAITING: dict[str, str] = {}
"""Cases that are not right yet, with what is missing."""


def files_by_case(folder: Path) -> dict[str, list[str]]:
    """Return the test files that name each case: as a string, in a test's name, or as "case NAME" in a docstring.

    Args:
        folder: of the tests.
    """
    texts = {path: path.read_text() for path in sorted(folder.rglob("test_*.py"))}
    found: dict[str, list[str]] = {}
    for name in (name for names in NAMES.values() for name in names):
        marks = (f'"{name}"', f"ase {name} ", f"ase {name})", f"_the_case_{name.replace('-', '_')}")
        found[name] = [
            path.relative_to(folder.parent).as_posix()
            for path, text in texts.items()
            if any(mark in text for mark in marks)
        ]
    return found


def given_case(kind: str, name: str) -> Path:
    """Return the folder of a case; the test is skipped if it is not on this machine."""
    folder = CASES / kind / name
    if not folder.is_dir():
        pytest.skip(f"no case {kind}/{name} in {CASES}: set GPUWISE_CASES to the folder of cases")
    return folder
