"""Two teams on one shared GPU, with a price change within the month: the bill equals the one computed here.

The card is time-sliced between a pod of team red and one of team blue. It costs $4.00 an hour until Thursday, then
$6.00. What each used of the card, its own part of it:

| day | red | blue | red pays for | blue pays for | why |
|---|---|---|---|---|---|
| Mon, Tue | 0.6 | 0.2 | 18 h | 6 h | 0.6 : 0.2 of 24 h |
| Wed, Thu | 0.3 | 0.3 | 12 h | 12 h | 0.3 : 0.3 of 24 h |
| Fri | 0.5 | 0.25 until noon | 20 h | 4 h | 0.5 : 0.25 of 12 h, then red alone |
| Sat | not measured | 0.25 | 12 h | 12 h | by request: half each |
| Sun | 0.4 | - | 24 h | 0 h | alone |

Red: 2 x 18 + 2 x 12 = 60 h at $4.00, and 20 + 12 + 24 = 56 h at $6.00: 240 + 336 = $576.00.
Blue: 2 x 6 + 2 x 12 = 36 h at $4.00, and 4 + 12 = 16 h at $6.00: 144 + 96 = $240.00.
Both: 4 x 24 h x $4.00 + 3 x 24 h x $6.00 = 384 + 432 = $816.00.

By request red would have 4 x 12 + (6 + 12) + 12 + 24 = 102 h instead of 116 h: 14 h more would be blue's.
"""

import json
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.command import ran
from tests.finops.test_report import MONDAY, NEXT, PRICES, node, workload

from gpuwise.finops import bill, daily_costs, days_of
from gpuwise.finops.allocation import allocation
from gpuwise.finops.period import Period
from gpuwise.memory.ledger import SqliteLedger
from gpuwise.model.inventory import Inventory
from gpuwise.model.signal import Signal
from gpuwise.model.usage import DAY_S, DeviceSeries, UsageSeries, Window
from gpuwise.score.profile import score_series
from gpuwise.score.settings import ScoreSettings

STEP_S = 600
STEPS = 7 * DAY_S // STEP_S
NAN = float("nan")
FRIDAY_S = MONDAY + 4 * DAY_S
RED = {"red-0": [0.6, 0.6, 0.3, 0.3, 0.5, NAN, 0.4]}
BLUE = {"blue-0": [0.2, 0.2, 0.3, 0.3, 0.25], "blue-1": [None] * 5 + [0.25]}
BLUE_LEFT_S = FRIDAY_S + DAY_S // 2


def pod(name: str, days: list[float | None]) -> DeviceSeries:
    """A pod with a sample of the card's activity in each step in which it has the card, from its first day on."""
    own, sm = np.full(STEPS, NAN), np.full(STEPS, NAN)
    for day, used in enumerate(days):
        steps = slice(day * DAY_S // STEP_S, (day + 1) * DAY_S // STEP_S)
        if used is not None:
            own[steps], sm[steps] = used, 0.8
    if name == "blue-0":
        sm[(BLUE_LEFT_S - MONDAY) // STEP_S :] = own[(BLUE_LEFT_S - MONDAY) // STEP_S :] = NAN
    samples = {Signal.SM_ACTIVITY: sm, Signal.OWN_USE: own, Signal.POWER: np.where(np.isnan(sm), NAN, 200.0)}
    return DeviceSeries(name, "GPU-1", 0.5, "H100-80GB", "h0", samples)


def fleet(now_s: int, usd: float) -> Period:
    window = Window(MONDAY, NEXT, STEP_S)
    pairs = []
    for team, pods in (("red", RED), ("blue", BLUE)):
        one = replace(workload(team, (), team=team), pods=())
        series = UsageSeries(one.ref, window, tuple(pod(name, days) for name, days in pods.items()))
        pairs.append((one, score_series(series, ScoreSettings()).billed))
    inventory = Inventory(now_s, {"h0": node("h0", "H100-80GB", gpus=1)}, tuple(one for one, _ in pairs), {})
    prices = replace(PRICES, usd_per_gpu_h=dict.fromkeys(PRICES.usd_per_gpu_h, usd))
    return Period(inventory, {use.workload: use for _, use in pairs}, prices, MONDAY, NEXT, now_s, listed=False)


@pytest.fixture
def ledger(tmp_path):
    """A pass on Friday morning at $4.00, which closes four days, and one after the week at $6.00."""
    path = tmp_path / "ledger.db"
    with closing(SqliteLedger(path)) as opened:
        opened.belongs_to("uid-1")
        for one in (fleet(FRIDAY_S + 3 * 3_600, 4.0), fleet(NEXT + DAY_S, 6.0)):
            opened.costs().record(days_of(one), daily_costs(one))
    return path


def asked(ledger, tmp_path, *arguments):
    window = ("--window", "30d", "--now", str(NEXT))
    return ran("cost", "--ledger", str(ledger), *window, *arguments, home=tmp_path)


def test_the_bill_of_two_teams_is_the_one_computed_above(ledger, tmp_path):
    found = json.loads(asked(ledger, tmp_path, "--by", "team", "-o", "json").stdout)
    assert {line["team"]: (line["usd"], line["gpu_h"]) for line in found["lines"]} == {
        "red": (576.00, pytest.approx(116.0)),
        "blue": (240.00, pytest.approx(52.0)),
    }
    assert found["total_usd"] == 816.00


def test_the_line_says_how_it_was_divided_and_with_what_error(ledger, tmp_path):
    """Shared were 24 h on each of Monday to Thursday and Saturday, and 12 h on Friday; Saturday by request."""
    found = json.loads(asked(ledger, tmp_path, "--by", "team", "-o", "json").stdout)
    assert (found["shared_gpu_h"], found["by_use_gpu_h"]) == (pytest.approx(132.0), pytest.approx(108.0))
    assert {line["team"]: line["shift_gpu_h"] for line in found["lines"]} == {
        "red": pytest.approx(-14.0),
        "blue": pytest.approx(14.0),
    }
    table = " ".join(asked(ledger, tmp_path, "--by", "team").stdout.split())
    assert "132 GPU-h on shared GPUs: 108 GPU-h divided by measured use. By request, 14 GPU-h would be on" in table
    assert "by request -14.0 GPU-h" in table


def test_moves_within_a_team_are_no_error(ledger, tmp_path):
    """All workloads of a namespace together have the card either way."""
    found = json.loads(asked(ledger, tmp_path, "--by", "namespace", "-o", "json").stdout)
    assert found["shift_gpu_h"] == pytest.approx(0.0, abs=1e-9)


def test_the_history_is_the_bill(ledger):
    whole = fleet(NEXT + DAY_S, 6.0)
    with closing(SqliteLedger(ledger)) as opened:
        opened.belongs_to("uid-1")
        rows = list(opened.costs().rows(MONDAY, NEXT))
    assert sum(row.time.capacity for row in rows) == pytest.approx(bill(whole).capacity_gpu_s) == 7 * DAY_S
    assert sum(row.measures.energy_j or 0.0 for row in rows) == pytest.approx(200.0 * 7 * DAY_S)


def test_energy_of_the_card_is_divided_as_its_time_is(ledger, tmp_path):
    """200 W for 168 h: 33.6 kWh, of which red has 116 h and blue 52 h; at PUE 1.5 half more."""
    settings = tmp_path / "gpuwise.yaml"
    settings.write_text("finops: {pue: 1.5}\n")
    arguments = ("--ledger", str(ledger), "--window", "30d", "--now", str(NEXT), "--config", str(settings))
    found = json.loads(ran("energy", *arguments, "-o", "json", home=tmp_path).stdout)
    assert {line["team"]: (line["kwh"], line["measured_gpu_h"]) for line in found["lines"]} == {
        "red": (pytest.approx(0.2 * 116 * 1.5), pytest.approx(116.0)),
        "blue": (pytest.approx(0.2 * 52 * 1.5), pytest.approx(52.0)),
    }
    assert (found["total"]["kg_co2e"], found["total"]["unknown_kwh"]) == (None, pytest.approx(33.6 * 1.5))
    table = " ".join(ran("energy", *arguments, home=tmp_path).stdout.split())
    assert "PUE 1.5. Grid intensity: not known for any of these regions" in table


@st.composite
def a_pod(draw) -> tuple[str, int, int, list[float | None]]:
    """A device, first and last hour, and what the pod used of the device on each day, where that was measured."""
    first, last = sorted(draw(st.lists(st.integers(0, 7 * 24 - 1), min_size=2, max_size=2, unique=True)))
    own = draw(st.lists(st.none() | st.sampled_from([0.0, 0.1, 0.5, 1.0]), min_size=7, max_size=7))
    return draw(st.sampled_from(["GPU-1", "GPU-2"])), first, last + 1, own


def hourly(name: str, one: tuple[str, int, int, list[float | None]]) -> DeviceSeries:
    uuid, first, end, own = one
    sm = np.full(7 * 24, NAN)
    sm[first:end] = 0.5
    used = np.repeat([NAN if day is None else day for day in own], 24)
    return DeviceSeries(name, uuid, 0.5, "H100-80GB", "h0", {Signal.SM_ACTIVITY: sm, Signal.OWN_USE: used})


@settings(max_examples=40)
@given(st.lists(st.lists(a_pod(), min_size=1, max_size=3), min_size=1, max_size=3), st.integers(1, 6), st.data())
def test_the_lines_of_any_shared_cards_sum_to_the_bill_whatever_the_price_was(teams, change, data):
    """Every second in which a card has pods is paid for once, at the price of its day; the cents sum to the total."""
    before, after = (data.draw(st.integers(1, 900)) / 100 for _ in range(2))
    window = Window(MONDAY, NEXT, 3_600)
    pairs = []
    for number, pods in enumerate(teams):
        one = replace(workload(f"w{number}", (), team=f"t{number}"), pods=())
        series = UsageSeries(one.ref, window, tuple(hourly(f"p{at}", each) for at, each in enumerate(pods)))
        pairs.append((one, score_series(series, ScoreSettings()).billed))
    inventory = Inventory(NEXT, {"h0": node("h0", "H100-80GB", gpus=2)}, tuple(one for one, _ in pairs), {})
    billed = {use.workload: use for _, use in pairs}

    def seen(now_s: int, usd: float) -> Period:
        prices = replace(PRICES, usd_per_gpu_h=dict.fromkeys(PRICES.usd_per_gpu_h, usd))
        return Period(inventory, billed, prices, MONDAY, NEXT, now_s, listed=False)

    with closing(SqliteLedger(Path(":memory:"))) as opened:
        history = opened.costs()
        for one in (seen(MONDAY + change * DAY_S + 3 * 3_600, before), seen(NEXT + DAY_S, after)):
            history.record(days_of(one), daily_costs(one))
        found = allocation(history.sums(("team",), MONDAY, NEXT), ("team",))
        days = {day.day_s for day in history.days(MONDAY, NEXT)}
    every = [pod for pods in teams for pod in pods]
    usd = 0.0
    for hour in range(7 * 24):
        day_s = MONDAY + hour // 24 * DAY_S
        held = {uuid for uuid, first, end, _ in every if first <= hour < end}
        if day_s in days:
            usd += len(held) * (before if hour // 24 < change else after)
    lines = [line for line in found.lines if line.kind == "allocated"]
    assert sum(line.cents for line in lines) == pytest.approx(usd * 100, abs=len(lines) + 1)
    assert sum(line.cents or 0 for line in found.lines) == (found.total.cents or 0)
    assert sum(line.shift_gpu_h for line in lines) == pytest.approx(0.0, abs=1e-6)
