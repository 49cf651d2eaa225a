"""Slice throughput on made-up cards, where the truth is known."""

import numpy as np
import pytest

from gpuwise.research.gpu_overprovisioned import Throughputs, predict_slices

BATCHES, PROCESSES = (1, 2, 4, 8, 16, 32), (1, 2, 3)


def card(name, peak, launch, *, slices=(1, 2, 3, 4, 7)):
    """A model of `launch` inferences a second and process at batch 1, until the `peak` of a whole card is reached."""
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


KNOWN = joined(*(card(f"m{i}", 1000.0 * i, 40.0 * j) for i, j in ((1, 1), (2, 3), (3, 2), (4, 7), (5, 4))))


@pytest.mark.parametrize("gpcs", [1, 2, 3, 4])
def test_a_model_that_scales_as_the_others_is_foretold(gpcs):
    truth, whole = card("new", 1500.0, 55.0, slices=(gpcs,)), card("new", 1500.0, 55.0, slices=(7,))
    found = predict_slices(KNOWN, whole, gpcs)
    assert np.mean(np.abs(found / truth.ips - 1)) < 0.06


def test_one_slip_of_the_measurement_does_not_move_the_rest():
    whole = card("new", 1500.0, 55.0, slices=(7,))
    slip = np.where((whole.batch == 32) & (whole.processes == 2), 2 * whole.ips, whole.ips)
    slipped = Throughputs(whole.model, whole.gpcs, whole.batch, whole.processes, slip)
    others = slip == whole.ips
    before, after = predict_slices(KNOWN, whole, 2)[others], predict_slices(KNOWN, slipped, 2)[others]
    np.testing.assert_array_equal(before, after)


def test_what_did_not_run_on_the_whole_card_does_not_run_on_a_slice():
    whole = card("new", 1500.0, 55.0, slices=(7,))
    ips = np.where(whole.batch == 32, 0.0, whole.ips)
    found = predict_slices(KNOWN, Throughputs(whole.model, whole.gpcs, whole.batch, whole.processes, ips), 3)
    np.testing.assert_array_equal(found == 0.0, ips == 0.0)
