"""A node that no label names a GPU of has the type that its rows name."""

from dataclasses import replace

import pytest
from tests.fleet import inventory, node, workload
from tests.series import WORKLOAD, device, usage

from gpuwise.model.inventory import node_ref
from gpuwise.score.hours import hours_of
from gpuwise.score.node_types import with_measured_types
from gpuwise.score.profile import score_hours
from gpuwise.score.settings import ScoreSettings

STEPS = 288
UNKNOWN = replace(node(), gpu_type=None, gpu_product="")


def scored(*devices):
    series = usage(*devices)
    return score_hours(hours_of(series, ScoreSettings()), series.window, ScoreSettings(), ()).billed


def row(gpu, uuid="GPU-0"):
    return replace(device(STEPS, uuid=uuid), gpu_type=gpu, node="node-0")


@pytest.mark.parametrize(
    ("types", "expected"),
    [(("H100-80GB", "H100-80GB"), "H100-80GB"), (("H100-80GB", "A100-80GB"), None), ((None, None), None)],
)
def test_the_rows_of_pods_name_the_type(types, expected):
    rows = [row(gpu, f"GPU-{number}") for number, gpu in enumerate(types)]
    fleet = inventory(workload(), nodes=[UNKNOWN])
    found = with_measured_types(fleet, {WORKLOAD: scored(*rows)}).nodes["node-0"]
    assert (found.gpu_type.name if found.gpu_type else None) == expected


def test_the_rows_of_unallocated_cards_name_the_type():
    fleet = inventory(nodes=[UNKNOWN])
    found = with_measured_types(fleet, {node_ref(UNKNOWN): scored(replace(row("H100-80GB"), pod=""))})
    assert found.nodes["node-0"].gpu_product == "H100-80GB"


def test_a_label_is_not_overruled():
    fleet = inventory(workload(), nodes=[node(gpu="T4")])
    assert with_measured_types(fleet, {WORKLOAD: scored(row("H100-80GB"))}) == fleet
