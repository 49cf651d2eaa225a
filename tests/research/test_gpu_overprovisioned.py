"""Slice throughput of synthetic models, whose true rates are known."""

import numpy as np
import pytest

from gpuwise.research.gpu_overprovisioned import Throughputs, predict_slices

BATCHES, PROCESSES = (1, 2, 4, 8, 16, 32), (1, 2, 3)


def model(name, peak, launch, *, slices=(1, 2, 3, 4, 7)):
    """A model with `launch` inferences per second and process at batch 1, up to the `peak` of a whole GPU."""
    rows = [
        (name, gpcs, batch, count, min(launch * batch * count, peak * gpcs / 7) / count)
        for gpcs in slices
        for batch in BATCHES
        for count in PROCESSES
    ]
    columns = list(zip(*rows, strict=True))
    return Throughputs(np.array(columns[0], dtype=object), *map(np.array, columns[1:4]), np.array(columns[4]))


def joined(*tables):
    return Throughputs(*(np.concatenate([getattr(t, field) for t in tables]) for field in Throughputs.__slots__))


KNOWN = joined(*(model(f"m{i}", 1000.0 * i, 40.0 * j) for i, j in ((1, 1), (2, 3), (3, 2), (4, 7), (5, 4))))


@pytest.mark.parametrize("gpcs", [1, 2, 3, 4])
def test_a_model_that_scales_like_the_others_is_predicted(gpcs):
    truth, whole = model("new", 1500.0, 55.0, slices=(gpcs,)), model("new", 1500.0, 55.0, slices=(7,))
    found = predict_slices(KNOWN, whole, gpcs)
    assert np.mean(np.abs(found / truth.ips - 1)) < 0.06


def test_one_measurement_error_does_not_change_the_other_predictions():
    whole = model("new", 1500.0, 55.0, slices=(7,))
    slip = np.where((whole.batch == 32) & (whole.processes == 2), 2 * whole.ips, whole.ips)
    slipped = Throughputs(whole.model, whole.gpcs, whole.batch, whole.processes, slip)
    others = slip == whole.ips
    before, after = predict_slices(KNOWN, whole, 2)[others], predict_slices(KNOWN, slipped, 2)[others]
    np.testing.assert_array_equal(before, after)


def test_a_configuration_that_did_not_run_on_the_whole_gpu_does_not_run_on_a_slice():
    whole = model("new", 1500.0, 55.0, slices=(7,))
    ips = np.where(whole.batch == 32, 0.0, whole.ips)
    found = predict_slices(KNOWN, Throughputs(whole.model, whole.gpcs, whole.batch, whole.processes, ips), 3)
    np.testing.assert_array_equal(found == 0.0, ips == 0.0)
