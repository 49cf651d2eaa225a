"""Formatted numbers, changes and reasons."""

import math

import pytest

from gpuwise.model.changes import MoveToSpot, Resize, ScaleTo
from gpuwise.model.inventory import GpuRequest, WorkloadRef
from gpuwise.model.reasons import Reason
from gpuwise.model.recommendation import Blocked, Evidence
from gpuwise.model.signal import Signal
from gpuwise.report import wording
from gpuwise.report.reasons import next_command, reason


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "unknown"), (math.nan, "unknown"), (math.inf, "unknown"), (0.0, "$0"), (12.3, "$12.30"), (5.0, "$5"),
     (99.999, "$100.00"), (1234.6, "$1,235"), (-3.5, "-$3.50"), (1e6, "$1,000,000")],
)  # fmt: skip
def test_dollars(value, text):
    assert wording.usd(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "unknown"), (0.0, "0 %"), (0.004, "<1 %"), (0.006, "1 %"), (0.314, "31 %"), (1.0, "100 %")],
)
def test_percent(value, text):
    assert wording.percent(value) == text.replace(" ", "\u00a0")


@pytest.mark.parametrize(
    ("value", "text"), [(None, "unknown"), (0.0, "0 GPU-h"), (0.25, "0.2 GPU-h"), (12345.6, "12,346 GPU-h")]
)
def test_gpu_hours(value, text):
    assert wording.gpu_hours(value) == text.replace(" GPU", "\u00a0GPU")


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (ScaleTo(0), "scale to 0"),
        (MoveToSpot(), "prefer spot nodes"),
        (Resize(GpuRequest("nvidia.com/gpu", 8), GpuRequest("nvidia.com/gpu", 1)), "8 GPUs to 1 GPU"),
        (Resize(GpuRequest("nvidia.com/gpu", 1), GpuRequest("nvidia.com/mig-1g.10gb", 1)), "1 GPU to 1 x mig-1g.10gb"),
    ],
)
def test_changes(change, text):
    assert wording.change(change) == text


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [(0.021, "ratio", "2 %"), (131.0, "watts", "131 watts"), (8 * 2.0**30, "bytes", "8.0 GiB"),
     (None, "watts", "unknown"), (7200.0, "s", "2 h"), (1_641_600.0, "seconds", "19 d")],
)  # fmt: skip
def test_evidence_has_its_number_and_its_limit(value, unit, text):
    sentence = wording.evidence(Evidence("power stayed low", Signal.POWER, "max", value, 1.0, unit))
    assert sentence.startswith(f"power stayed low (max {text}, limit ".replace(text, text.replace(" ", "\u00a0")))


def test_every_reason_has_words_and_a_next_command():
    target = WorkloadRef("ns", "Deployment", "chat", "u")
    for code in Reason:
        assert 4 <= len(reason(code)) <= 60
        blocked = Blocked(target, "decide", code, "", (), "r-1")
        assert next_command(blocked).split()[:2][0] == "gpuwise"
    assert next_command(Blocked(target, "decide", Reason.RECOMMEND_ONLY, "", (), "r-1")) == "gpuwise apply r-1"
    assert next_command(Blocked(target, "decide", Reason.PAUSED, "", (), "r-1")) == "gpuwise resume"
    assert next_command(Blocked(target, "idle", Reason.BUSY, "")) == "gpuwise explain ns/Deployment/chat"


def test_risk_outside_the_scale_is_shown_as_a_number():
    assert [wording.risk(level) for level in (0, 4, 9)] == ["no risk", "very high risk", "risk 9"]


def test_a_share_of_nothing_is_unknown_and_not_zero():
    assert wording.share(0.0, 0.0) is None
    assert wording.share(0.0, 5.0) == 0.0
