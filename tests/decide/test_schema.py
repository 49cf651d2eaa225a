"""The JSON schema of a policy file agrees with what `--policy` accepts."""

import jsonschema
import pytest
import yaml
from tests.conftest import REPOSITORY

from gpuwise.config import load
from gpuwise.decide.schema import policy_schema
from gpuwise.model.errors import InputError

POLICIES = {
    "empty": ("{}", True),
    "mode off without quotes": ("mode: off", True),
    "window": ('windows: [{start: "22:00", end: "06:00:30", zone: Europe/Berlin, days: [mon]}]', True),
    "time without quotes": ('windows: [{start: 22:00, end: "06:00", zone: UTC}]', False),
    "unknown key": ("moed: off", False),
    "unknown key in a list": ("rules: [{name: a, forbid_if: 'true', peple: true}]", False),
    "budgets": ("budgets: {namespace/search: {disruptions: 2, per_s: 60}}", True),
    "budget below zero": ("budgets: {namespace/search: {disruptions: -1}}", False),
    "missing key": ("budgets: {namespace/search: {per_s: 60}}", False),
    "risk": ("max_risk: 5", False),
    "approvals": ("approvals: {above_gpus: 8, persons: 3}", True),
    "required labels": ("required_labels: {'prod-*': [owner, cost-center]}", True),
}


@pytest.mark.parametrize("name", POLICIES)
def test_the_schema_accepts_what_the_command_accepts(tmp_path, name):
    text, valid = POLICIES[name]
    errors = list(jsonschema.Draft202012Validator(policy_schema()).iter_errors(yaml.safe_load(text)))
    assert (not errors) is valid, errors
    file = tmp_path / "team.yaml"
    file.write_text(text)
    if valid:
        load(None, {}, {"policy_file": file})
    else:
        with pytest.raises(InputError):
            load(None, {}, {"policy_file": file})


def test_every_key_has_a_description_and_the_page_names_every_key():
    found = policy_schema()
    page = (REPOSITORY / "docs" / "policy.md").read_text()
    for kind in (found, *found["$defs"].values()):
        for name, value in kind["properties"].items():
            assert value["description"].endswith("."), name
            assert f"`{name}`" in page or f"{name}:" in page, name
