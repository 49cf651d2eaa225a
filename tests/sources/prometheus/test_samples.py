"""Properties of the conversion from Prometheus' samples to the window's grid."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gpuwise.model.signal import SIGNALS
from gpuwise.model.usage import Window
from gpuwise.sources.prometheus.client import Series
from gpuwise.sources.prometheus.names import METRICS, MetricName, Unit, any_of, pod_labels, quoted
from gpuwise.sources.prometheus.requests import total
from gpuwise.sources.prometheus.samples import on_grid
from gpuwise.sources.prometheus.units import to_base_units

WINDOW = Window(1_780_000_020, 1_780_000_020 + 20 * 15, 15)
anything = st.floats() | st.integers(0, 1000).map(lambda n: n / 10) | st.sampled_from([0.0, 1.0, 4294967295.0, -1.0])
grids = st.lists(anything, min_size=1, max_size=20).map(np.array)
metrics = st.sampled_from(METRICS)
rates = st.lists(st.just(float("nan")) | st.floats(0, 1e6), min_size=4, max_size=4).map(np.array)


@settings(deadline=None)
@given(st.dictionaries(st.integers(0, WINDOW.steps - 1), st.floats(0, 1)))
def test_each_sample_is_in_its_own_step(samples: dict[int, float]):
    at_s = np.array([WINDOW.start_s + (i + 1) * WINDOW.step_s - 0.001 for i in samples], dtype=float)
    grid = on_grid(Series({}, at_s, np.array(list(samples.values()), dtype=float)), WINDOW)
    found = {} if grid is None else {i: value for i, value in enumerate(grid) if not np.isnan(value)}
    assert found == samples


@settings(deadline=None)
@example(next(one for one in METRICS if one.unit is Unit.MIB), np.array([1.7e302]))
@given(metrics, grids)
def test_i1_values_are_possible_or_unknown(metric: MetricName, raw: np.ndarray):
    values, _ = to_base_units(raw, metric, WINDOW)
    known = values[~np.isnan(values)]
    assert np.all((known >= 0.0) & (known <= SIGNALS[metric.signal].highest))
    assert np.isnan(values[np.isnan(raw) | (raw < 0.0)]).all()


@settings(deadline=None)
@given(metrics, grids, st.floats(0.0, 100.0))
def test_i3_one_more_sample_makes_no_other_sample_look_less_active(metric: MetricName, raw: np.ndarray, more: float):
    if metric.unit in {Unit.RATIO_OR_PERCENT, Unit.PERCENT_OR_RATIO}:
        raw = np.where(raw > 1.0, np.nan, raw)  # so far it is a ratio; the new sample may show that it is percent
    before, _ = to_base_units(raw, metric, WINDOW)
    after = to_base_units(np.append(raw, more), metric, WINDOW)[0][:-1]
    assert np.all(np.isnan(after) | np.isnan(before) | (after >= before))


@settings(deadline=None)
@given(st.lists(rates, min_size=1, max_size=4))
def test_i1_incident_serving_8610_a_partial_sum_is_activity_or_unknown_never_idle(parts: list[np.ndarray]):
    sums = total(parts)
    missing = np.isnan(np.stack(parts)).any(axis=0)
    assert np.all(np.isnan(sums[missing]) | (sums[missing] > 0.0))
    np.testing.assert_allclose(sums[~missing], np.stack(parts).sum(axis=0)[~missing])


@settings(deadline=None)
@given(st.lists(st.text(max_size=8), min_size=1, max_size=4))
def test_a_literal_matches_only_its_name(names: list[str]):
    for literal in (any_of(names), *map(quoted, names)):
        inside = literal[1:-1]
        assert literal[0] == literal[-1] == '"'
        assert '"' not in inside.replace("\\\\", "").replace('\\"', "")
        assert "\n" not in inside


@pytest.mark.parametrize(
    ("labels", "pod_label"),
    [
        ({"pod": "a"}, "pod"),
        ({"pod": "exporter", "exported_pod": "a"}, "exported_pod"),
        ({"pod_name": "a"}, "pod_name"),
        ({"pod": "", "pod_name": "a"}, "pod_name"),
        ({"pod": ""}, None),
        ({}, None),
    ],
)
def test_the_workloads_pod_is_distinguished_from_the_exporters(labels: dict[str, str], pod_label: str | None):
    way = pod_labels(labels)
    assert (way.pod if way else None) == pod_label
