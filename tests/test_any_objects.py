"""I32: a whole scan of a recording ends well, whatever valid objects and labels its inventory has."""

import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gpuwise.config import Config, LedgerConfig, ObserveConfig
from gpuwise.weekly import summary
from gpuwise.wiring import loop
from tests.recordings import NOW_S, record_fleet
from tests.sources.kubernetes.test_any_objects import MAPS, objects


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    folder = tmp_path_factory.mktemp("recording")
    record_fleet(folder, nodes=4, days=2)
    return folder, json.loads((folder / "inventory.json").read_text())


# Without a deadline: each example reads and scores a recording.
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(odd=st.lists(objects(), max_size=4), labels=st.lists(MAPS, min_size=3, max_size=3), at=st.integers(0, 40))
def test_i32_a_scan_of_any_fleet(recording, odd, labels, at):
    folder, listed = recording
    items = [*listed["items"], *odd]
    for offset, given_labels in enumerate(labels):
        item = items[(at + offset) % len(items)]
        changed = (item["metadata"].get("labels") or {}) | (given_labels or {})
        items[(at + offset) % len(items)] = item | {"metadata": item["metadata"] | {"labels": changed}}
    (folder / "inventory.json").write_text(json.dumps(listed | {"items": items}))
    with tempfile.TemporaryDirectory() as ledger:
        observe, path = ObserveConfig(look_back_h=48, step_s=300), Path(ledger) / "ledger.db"
        config = Config(recording=folder, observe=observe, ledger=LedgerConfig(path))
        with loop(config, writing=False, at_s=NOW_S) as pipeline:
            run = pipeline.run_once(NOW_S)
            report = summary(pipeline, run.survey, now_s=NOW_S)
    assert report.bill.capacity_gpu_s > 0.0
    assert run.survey.profiles
