"""Samples that should be there: a device that a running pod requests and that does not report counts as used (I27)."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.fleet import inventory, node, pod, workload
from tests.scored import spans_of
from tests.series import DAY_STEPS, STEP_S, WORKLOAD, device, usage, window

from gpuwise.model.inventory import GpuRequest
from gpuwise.model.profile import Verdict
from gpuwise.model.signal import Signal
from gpuwise.model.usage import DAY_S, UsageSeries
from gpuwise.score.expected import RunningPod, running_pods, unseen_days
from gpuwise.score.hours import hours_of
from gpuwise.score.profile import score_hours
from gpuwise.score.settings import ScoreSettings

STEPS = 4 * DAY_STEPS
SETTINGS = ScoreSettings()


def running(*names, devices=1, start_s=0):
    return tuple(RunningPod(name, "node-0", "A100-80GB", start_s, devices, 1.0) for name in names)


def scored(devices, pods):
    series = usage(*devices)
    return score_hours(hours_of(series, SETTINGS), series.window, SETTINGS, pods).profile


def agreeing(profile):
    return profile.idle.agreeing_sensors


def test_what_every_pod_reports_is_idle():
    profile = scored([device(STEPS), device(STEPS, pod="chat-1", uuid="GPU-1")], running("chat-0", "chat-1"))
    assert (profile.idle.since_s, agreeing(profile), profile.unsampled_pods) == (0, 3, ())


def test_i27_replicas_that_were_never_sampled_count_as_used():
    profile = scored([device(STEPS)], running("chat-0", "chat-1", "chat-2", "chat-3"))
    assert profile.idle.since_s is None
    assert profile.unsampled_pods == ("chat-1", "chat-2", "chat-3")
    assert profile.running_pods == 4
    assert profile.coverage[Signal.SM_ACTIVITY] == pytest.approx(1 / 4)
    assert profile.allocated_gpu_s == pytest.approx(4 * STEPS * STEP_S)
    assert profile.idle.idle_gpu_s == pytest.approx(STEPS * STEP_S)
    assert {verdict.verdict for verdict in profile.idle.verdicts} == {Verdict.UNKNOWN}


def test_i27_incident_dcgm_exporter_250_one_of_four_cards_that_is_not_sampled_counts_as_used():
    cards = [device(STEPS, uuid=f"GPU-{number}") for number in range(3)]
    profile = scored(cards, running("chat-0", devices=4))
    assert profile.idle.since_s is None
    assert profile.busy_devices == 1
    assert profile.devices == 4
    assert profile.unsampled_pods == ("chat-0",)


def test_i27_an_exporter_that_stopped_reporting_ends_the_idle_time():
    card = device(STEPS)
    for column in card.samples.values():
        column[-DAY_STEPS:] = np.nan
    profile = scored([card], running("chat-0"))
    assert profile.idle.since_s is None
    assert profile.coverage[Signal.POWER] == pytest.approx(3 / 4)


def test_a_pod_that_started_later_is_expected_from_its_start_on():
    late = device(STEPS, pod="chat-1", uuid="GPU-1")
    for column in late.samples.values():
        column[:DAY_STEPS] = np.nan
    pods = (*running("chat-0"), *running("chat-1", start_s=DAY_STEPS * STEP_S))
    profile = scored([device(STEPS), late], pods)
    assert (profile.idle.since_s, profile.coverage[Signal.POWER]) == (0, 1.0)


def test_time_before_the_first_sample_of_the_workload_is_not_observed():
    """The exporter was installed a day after the pod started: three days were observed, and all of them sampled."""
    card = device(STEPS)
    for column in card.samples.values():
        column[:DAY_STEPS] = np.nan
    profile = scored([card], running("chat-0"))
    assert profile.observed_s == 3 * DAY_STEPS * STEP_S
    assert profile.coverage[Signal.POWER] == 1.0
    assert profile.idle.since_s == DAY_STEPS * STEP_S


@settings(max_examples=60)
@given(st.data())
def test_i27_removing_any_series_never_makes_more_of_it_idle(data):
    pods, cards = data.draw(st.integers(1, 3)), data.draw(st.integers(1, 3))
    devices = [
        device(DAY_STEPS, pod=f"chat-{one}", uuid=f"GPU-{one}-{card}", busy=data.draw(st.lists(st.integers(0, 287))))
        for one in range(pods)
        for card in range(cards)
    ]
    expected = running(*(f"chat-{one}" for one in range(pods)), devices=cards)
    kept = data.draw(st.lists(st.sampled_from(devices), min_size=1, unique_by=lambda one: one.device_uuid))
    whole, part = scored(devices, expected), scored(kept, expected)
    assert part.idle.idle_gpu_s <= whole.idle.idle_gpu_s
    assert sum(end_s - start_s for start_s, end_s in spans_of(part.idle)) <= sum(
        end_s - start_s for start_s, end_s in spans_of(whole.idle)
    )
    assert agreeing(part) <= agreeing(whole)
    assert (part.busy_devices or 0) >= (whole.busy_devices or 0)
    for signal, coverage in part.coverage.items():
        assert coverage <= whole.coverage[signal] + 1e-12


@pytest.mark.parametrize(
    ("request_", "shared", "devices", "fraction"),
    [
        (GpuRequest("nvidia.com/gpu", 4), False, 4, 1.0),
        (GpuRequest("nvidia.com/mig-1g.10gb", 2), False, 2, 1 / 7),
        (GpuRequest("nvidia.com/gpu", 2), True, 1, 1.0),  # HAMi: two shares may come from one card
        (GpuRequest("nvidia.com/gpu.shared", 2), False, 1, 1.0),
        (None, False, 1, 1.0),
    ],
)
def test_the_devices_that_a_pod_requests(request_, shared, devices, fraction):
    one = replace(workload(WORKLOAD), request=request_, shares_card=shared, pods=(pod("chat-0"),))
    (found,) = running_pods(one, inventory(one, nodes=[node()]))
    assert (found.devices, found.gpu_fraction) == (devices, pytest.approx(fraction))


def test_pods_without_a_node_and_pods_that_ended_are_not_expected_to_report():
    waiting = replace(pod("chat-1"), node=None, phase="Pending")
    ended = replace(pod("chat-2"), phase="Succeeded")
    one = replace(workload(WORKLOAD), pods=(pod("chat-0"), waiting, ended))
    assert [found.name for found in running_pods(one, inventory(one))] == ["chat-0"]


@pytest.mark.parametrize("phase", ["Pending", "Unknown"])
def test_a_pod_on_a_node_has_its_gpus_before_it_runs(phase):
    one = replace(workload(WORKLOAD), pods=(replace(pod("chat-0"), phase=phase, started_s=50),))
    assert [(found.name, found.start_s) for found in running_pods(one, inventory(one))] == [("chat-0", 50)]


HOUR = 3_600 // STEP_S


def replica(name, devices, *, start_s=0):
    return RunningPod(name, "node-0", "A100-80GB", start_s, devices, 1.0)


def scored_on(devices, pods):
    """As `scored`, over a day, and also where no device has samples."""
    series = UsageSeries(WORKLOAD, window(DAY_STEPS), tuple(devices))
    return score_hours(hours_of(series, SETTINGS), series.window, SETTINGS, pods).profile


@st.composite
def replicas(draw):
    """Pods that each request some devices, what each device does, and which devices report nothing."""
    sizes = draw(st.lists(st.integers(1, 4), min_size=1, max_size=4))
    pods = [replica(f"chat-{index}", size) for index, size in enumerate(sizes)]
    devices, silent = [], []
    for one in pods:
        for number in range(one.devices):
            busy = draw(st.lists(st.integers(0, DAY_STEPS - 1), max_size=3))
            devices.append(device(DAY_STEPS, busy=busy, pod=one.name, uuid=f"GPU-{one.name}-{number}"))
            silent.append(draw(st.booleans()))
    return pods, devices, silent


def missing_by_pod(devices, silent):
    found = {}
    for one, gone in zip(devices, silent, strict=True):
        found[one.pod] = found.get(one.pod, 0) + gone
    return found


@given(replicas())
def test_i27_a_device_that_does_not_report_counts_as_used_in_every_step(fleet):
    pods, devices, silent = fleet
    whole = scored_on(devices, pods)
    sampled = [one for one, gone in zip(devices, silent, strict=True) if not gone]
    found = scored_on(sampled, pods)
    missing = missing_by_pod(devices, silent)
    assert whole.unsampled_pods == ()
    assert found.unsampled_pods == tuple(sorted(name for name, count in missing.items() if count))
    assert found.running_pods == len(pods)
    assert found.idle.idle_gpu_s <= whole.idle.idle_gpu_s
    if not any(missing.values()):
        return
    assert found.idle.since_s is None
    assert found.idle.agreeing_sensors == 0
    assert spans_of(found.idle) == []
    if sampled:  # without any sample there is no activity signal either, and nothing is sized
        assert found.busy_devices >= max(whole.busy_devices, *missing.values())
        share = len(sampled) / len(devices)
        assert {signal: pytest.approx(share) for signal in found.coverage} == found.coverage


@given(replicas())
def test_i27_an_idle_verdict_needs_every_device(fleet):
    pods, devices, silent = fleet
    sampled = [one for one, gone in zip(devices, silent, strict=True) if not gone]
    found = scored_on(sampled, pods)
    if any(silent):
        assert Verdict.IDLE not in {one.verdict for one in found.idle.verdicts}


@given(st.integers(0, DAY_STEPS - 1), st.integers(HOUR, 6 * HOUR), st.booleans())
def test_i27_a_hole_in_one_device_is_a_hole_in_the_idle_time_of_all(start, length, whole_pod):
    """Holes of more than an hour; the other devices of the workload are sampled and idle all the time."""
    pods = [replica("chat-0", 1), replica("chat-1", 2)]
    others = [device(DAY_STEPS, pod="chat-0", uuid="GPU-0"), device(DAY_STEPS, pod="chat-1", uuid="GPU-1")]
    cut = device(DAY_STEPS, pod="chat-1", uuid="GPU-2")
    for one in (cut, others[1]) if whole_pod else (cut,):
        for column in one.samples.values():
            column[start : start + length] = np.nan
    found = scored_on([*others, cut], pods)
    begin_s, end_s = start * STEP_S, min(DAY_STEPS, start + length) * STEP_S
    assert all(last_s <= begin_s or first_s >= end_s for first_s, last_s in spans_of(found.idle))
    assert found.idle.since_s == (end_s if DAY_STEPS * STEP_S - end_s >= SETTINGS.min_idle_s else None)


@given(st.integers(1, DAY_STEPS - 1))
def test_nothing_is_missing_before_a_pod_started(start):
    pods = [replica("chat-0", 1), replica("chat-1", 1, start_s=start * STEP_S)]
    found = scored_on([device(DAY_STEPS, pod="chat-0", uuid="GPU-0")], pods)
    assert found.unsampled_pods == ("chat-1",)
    assert all(last_s <= start * STEP_S for _, last_s in spans_of(found.idle))
    idle_steps = start if start * STEP_S >= SETTINGS.min_idle_s else 0
    assert sum(last_s - first_s for first_s, last_s in spans_of(found.idle)) == idle_steps * STEP_S


@pytest.mark.parametrize(
    ("start_s", "until_s", "gpu_s"),
    [
        (1_000, 400, []),  # the first sample is of a step that began before the pod
        (0, 0, []),
        (100, 400, [600.0]),
        (DAY_S - 60, DAY_S + 60, [120.0, 120.0]),
    ],
)
def test_the_time_before_the_first_sample_is_never_below_zero(start_s, until_s, gpu_s):
    whole = window(2 * DAY_STEPS)
    found = unseen_days(running("chat-0", devices=2, start_s=start_s), frozenset(), whole, until_s=until_s)
    assert [day.allocated_gpu_s for day in found] == gpu_s
    assert [day.unknown_gpu_s for day in found] == gpu_s


def test_i27_every_resource_of_a_pod_is_expected():
    """A sidecar's MIG slice beside a whole GPU."""
    beside = workload(more_requests=(GpuRequest("nvidia.com/mig-3g.40gb", 1),))
    [one] = running_pods(beside, inventory(beside))
    assert (one.devices, one.gpu_fraction) == (2, pytest.approx((1.0 + 0.5) / 2))
