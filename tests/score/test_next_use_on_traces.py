"""Calibration of the forecast on the half of GenTD26's models that the two constants were not chosen on."""

import csv
import gzip
from collections import defaultdict
from datetime import datetime

import numpy as np
import pytest
from tests.scored import profile
from tests.series import WORKLOAD

from gpuwise.model.signal import Signal
from gpuwise.model.usage import DeviceSeries, UsageSeries, Window
from gpuwise.score.settings import ScoreSettings

HOUR_S = 3_600


@pytest.fixture(scope="module")
def used_hours(traces):
    """Hours with a request, by model; counted from the first hour of all models."""
    hours = defaultdict(set)
    with gzip.open(traces / "genai_gentd26" / "lora_request_trace.csv.gz", "rt") as file:
        for row in csv.DictReader(file):
            at = datetime.fromisoformat(row["gmt_create"] + "+00:00")
            hours[row["checkpoint_model_version_id"]].add(int(at.timestamp()) // HOUR_S)
    first, last = min(map(min, hours.values())), max(map(max, hours.values()))
    return first, {model: np.isin(np.arange(first, last + 1), list(found)) for model, found in hours.items()}


def forecasts(used, first_hour):
    """(forecast, end of the hour of the next use or None) at idle hours in the second half of the trace."""
    for now in range(used.size // 2, used.size - 48, 13):
        since = int(np.argmax(used))
        if used[now - 1] or since >= now:
            continue
        window = Window((first_hour + since) * HOUR_S, (first_hour + now) * HOUR_S, HOUR_S)
        card = DeviceSeries("m-0", "GPU-0", 1.0, None, None, {Signal.SM_ACTIVITY: np.zeros(now - since)})
        series = UsageSeries(WORKLOAD, window, (card,), used[since:now].astype(np.float64))
        forecast = profile(series, ScoreSettings()).next_use
        if forecast is not None:
            later = np.flatnonzero(used[now:])
            yield forecast, (first_hour + now + int(later[0]) + 1) * HOUR_S if later.size else None


def test_the_quantiles_of_the_next_use_are_calibrated(used_hours):
    first_hour, models = used_hours
    end_s = (first_hour + len(next(iter(models.values())))) * HOUR_S
    before = {"early_s": [], "median_s": [], "late_s": []}
    for model in sorted(models)[1::2]:
        for forecast, actual_s in forecasts(models[model], first_hour):
            for name, outcomes in before.items():
                at_s = getattr(forecast, name) or np.inf
                if actual_s is not None:
                    outcomes.append(actual_s <= at_s)
                elif at_s <= end_s:  # after the end of the trace nothing is known
                    outcomes.append(False)
    shares = {name: float(np.mean(outcomes)) for name, outcomes in before.items()}
    assert min(map(len, before.values())) > 150
    assert shares["early_s"] == pytest.approx(0.1, abs=0.1)
    assert shares["median_s"] == pytest.approx(0.5, abs=0.1)
    assert shares["late_s"] == pytest.approx(0.9, abs=0.1)
