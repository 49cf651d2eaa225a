"""gpuwise.yaml, policy.yaml, prices.csv and grid.csv: each file has its effect on a command."""

import csv
import json
import re

import jsonschema
import pytest
import yaml

from gpuwise.config import keys, load
from gpuwise.decide.settings import DecideSettings
from gpuwise.model.command import Budget, Mode

from .conftest import EXAMPLES

POLICY = ["--config", str(EXAMPLES / "gpuwise.yaml")]
SCHEMA = EXAMPLES.parent / "docs" / "policy.schema.json"
GRID = {"GPUWISE_GRID": str(EXAMPLES / "grid.csv")}


def rows(name: str) -> list[dict[str, str]]:
    with (EXAMPLES / name).open() as file:
        return list(csv.DictReader(file))


def blocked(plan: dict, namespace: str) -> set[str]:
    return {one["reason"] for one in plan["holds"] if one["workload"]["namespace"] == namespace}


def test_the_policy_is_read_and_each_of_its_keys_differs_from_the_default():
    found, default = load(EXAMPLES / "gpuwise.yaml", {}, {}).policy, load(None, {}, {}).policy
    assert (found.mode, found.budget) == (Mode.APPROVE, Budget(disruptions=1, per_s=3600))
    assert found.protected_namespaces == ("notebooks", "payments")
    for key in ("mode", "budget", "min_confidence", "cool_down_h", "breaker_open_h", "brake_share"):
        assert getattr(found, key) != getattr(default, key), key


def test_the_policy_limits_the_plan_to_its_budget_and_protects_its_namespaces(gpuwise, recorded):
    before = gpuwise("plan", *recorded, "-o", "json").data
    after = gpuwise("plan", *recorded, *POLICY, "-o", "json").data
    assert len(before["commands"]) > 1
    assert len(after["commands"]) == 1
    assert after["commands"][0]["recommendation_id"] in {one["recommendation_id"] for one in before["commands"]}
    assert "BudgetExhausted" in blocked(after, "search") - blocked(before, "search")
    assert "ProtectedNamespace" in blocked(after, "notebooks") - blocked(before, "notebooks")
    assert "RecommendOnly" in blocked(before, "notebooks") - blocked(after, "notebooks")


def test_the_policy_file_is_read_and_each_of_its_keys_differs_from_the_default(gpuwise):
    text = (EXAMPLES / "policy.yaml").read_text()
    found, default = load(None, {}, {"policy_file": EXAMPLES / "policy.yaml"}).policy, DecideSettings()
    for key in yaml.safe_load(text):
        if key != "max_risk":  # shown because people look for it
            assert getattr(found, key) != getattr(default, key), key
    as_json = json.loads(json.dumps(yaml.safe_load(text), default=str))  # YAML 1.1 has dates, JSON has not
    assert jsonschema.validate(as_json, json.loads(SCHEMA.read_text())) is None
    named = re.search(r"\$schema=(\S+)", text)
    assert (EXAMPLES / named[1]).resolve() == SCHEMA.resolve()


def test_the_policy_file_changes_the_plan(gpuwise, recorded):
    found = gpuwise("plan", *recorded, "--policy", EXAMPLES / "policy.yaml", "-o", "json").data
    assert found["commands"] == []
    assert {(one["policy"], one["reason"]) for one in found["holds"] if one["stage"] == "decide"} >= {
        ("mode", "NeedsApproval"),
        ("protected namespace", "ProtectedNamespace"),
    }


def test_the_policys_price_of_energy_makes_power_limits_a_finding(gpuwise, recorded):
    def findings(*more: str) -> set[str]:
        return {one["finding"] for one in gpuwise("scan", *recorded, *more, "-o", "json").data["recommendations"]}

    assert "PowerLimitOverprovisioned" in findings(*POLICY) - findings()


def test_the_bill_uses_the_prices(gpuwise, recorded):
    shipped = gpuwise("scan", *recorded, "-o", "json").data
    found = gpuwise("scan", *recorded, "--prices", EXAMPLES / "prices.csv", "-o", "json").data
    assert found["price_source"] == "price file prices.csv"
    assert found["bill"]["capacity_gpu_s"] == shipped["bill"]["capacity_gpu_s"]
    assert 0 < found["bill"]["capacity_usd"] < 0.8 * shipped["bill"]["capacity_usd"]
    assert found["bill"]["unpriced_gpu_s"] == 0
    # 8 GPUs per node for all hours of the two weeks; one of the two H100 nodes is reserved.
    usd = {(row["gpu_type"], row["capacity_type"]): float(row["usd_per_gpu_h"]) for row in rows("prices.csv")}
    hourly = (
        usd["H100-80GB", "reserved"]
        + usd["H100-80GB", "on-demand"]
        + 2 * usd["A100-80GB", "on-demand"]
        + usd["L4", "on-demand"]
        + usd["T4", "on-demand"]
    )
    assert found["bill"]["capacity_usd"] == pytest.approx(8 * 14 * 24 * hourly)


def test_the_carbon_of_a_saving_uses_the_grid(gpuwise, recorded):
    def per_kwh(env: dict[str, str]) -> set[float]:
        found = gpuwise("scan", *recorded, "-o", "json", env=env).data["recommendations"]
        savings = [one["saving"] for one in found]
        return {round(one["kg_co2e_month"] / one["kwh_month"], 4) for one in savings if one["kg_co2e_month"]}

    mine = {float(row["kg_co2e_per_kwh"]) for row in rows("grid.csv")}
    assert per_kwh(GRID)
    assert per_kwh(GRID) <= mine
    assert per_kwh({}).isdisjoint(mine)


def test_every_example_is_in_the_readme_and_every_key_it_names_exists():
    text = (EXAMPLES / "README.md").read_text()
    for path in (*EXAMPLES.glob("*.yaml"), *EXAMPLES.glob("*.csv")):
        assert f"`{path.name}`" in text, path.name
    assert {"grid", "policy.max_risk", "policy.mode", "policy.budget.disruptions"} <= set(keys())
