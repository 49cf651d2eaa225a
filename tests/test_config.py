from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from gpuwise.cli.commands import gpuwise
from gpuwise.config import Config, keys, load, variable
from gpuwise.model.codec import to_plain
from gpuwise.model.command import Mode
from gpuwise.model.errors import InputError
from gpuwise.model.inventory import WorkloadClass


def written(tmp_path, text) -> Path:
    path = tmp_path / "gpuwise.yaml"
    path.write_text(text)
    return path


def test_precedence_is_flag_environment_file_default(tmp_path):
    file = written(tmp_path, "policy: {mode: approve}\nobserve: {step_s: 60}\n")
    assert load(None, {}, {}).policy.mode is Mode.RECOMMEND
    assert load(file, {}, {}).policy.mode is Mode.APPROVE
    assert load(file, {"GPUWISE_POLICY_MODE": "off"}, {}).policy.mode is Mode.OFF
    found = load(file, {"GPUWISE_POLICY_MODE": "off"}, {"policy.mode": "enforce", "observe.look_back_h": None})
    assert (found.policy.mode, found.observe.step_s, found.observe.look_back_h) == (Mode.ENFORCE, 60, 336)


def test_an_empty_file_is_the_default(tmp_path):
    assert load(written(tmp_path, "# nothing\n"), {}, {}) == Config()


def test_the_output_of_config_print_can_be_loaded(tmp_path):
    file = written(tmp_path, yaml.safe_dump(to_plain(Config())))
    assert load(file, {}, {}) == Config()


def test_config_print_shows_no_password_of_a_url():
    given = {
        "GPUWISE_PROMETHEUS_URL": "https://reader:s3cret@prom:9090/p",
        "GPUWISE_LEDGER_URL": "postgresql://gpuwise@db/x?sslmode=require&sslpassword=s3cret",
    }
    done = CliRunner(env=given).invoke(gpuwise, ["config", "print"])
    assert done.exit_code == 0
    assert "s3cret" not in done.output
    plain = CliRunner(env={"GPUWISE_PROMETHEUS_URL": "http://prom:9090"}).invoke(gpuwise, ["config", "print"])
    assert "url: http://prom:9090\n" in plain.output
    assert "url: https://reader:***@prom:9090/p\n" in done.output
    assert "url: postgresql://gpuwise@db/x?sslmode=require&sslpassword=***\n" in done.output


def test_a_part_of_a_table_keeps_its_keys_typed(tmp_path):
    file = written(tmp_path, "recommend: {idle_after_h: {endpoint: 96, notebook: 8, batch: 24, training: 24}}\n")
    assert load(file, {}, {}).recommend.idle_after_h[WorkloadClass.NOTEBOOK] == 8


BAD_FILES = {
    "an unknown key": ("policy: {moed: enforce}", "unknown key policy.moed; did you mean policy.mode?"),
    "an unknown section": ("prometeus: {url: x}", "unknown key prometeus"),
    "a word that is no mode": (
        "policy: {mode: yes please}",
        "policy.mode is 'yes please'.*off or recommend or approve",
    ),
    "two budgets of one name": (
        "finops: {budgets: [{name: a, usd: 1, value: x}, {name: a, usd: 2, value: y}]}",
        "finops.budgets: two budgets have the name 'a': give each a name of its own",
    ),
    "a truth value for the dollars of a budget": (
        "finops: {budgets: [{name: a, value: x, usd: yes}]}",
        "finops.budgets.0.usd is True: it is not a number",
    ),
    "a budget of nobody": (
        "finops: {budgets: [{name: a, usd: 1}]}",
        "budget 'a' is by team, and has no value: name the team",
    ),
    "a budget of the fleet with a value": (
        "finops: {budgets: [{name: a, usd: 1, by: fleet, value: x}]}",
        "budget 'a' is by fleet, which has no value: remove value 'x'",
    ),
    "a threshold in percent": (
        "finops: {budgets: [{name: a, usd: 1, by: fleet, alert_at: [80]}]}",
        "alert_at.*less than or equal to 10",
    ),
    "a value without an amount": (
        "finops: {values: [{value: chat}]}",
        "finops.values.0: the value of 'chat' has no amount: give it usd_per_unit or usd_month",
    ),
    "no required tag": ("finops: {required_tags: {}}", "finops.required_tags: no tag is required.*name one"),
    "an infinite threshold": (
        "finops: {budgets: [{name: a, usd: 1, alert_at: [.inf]}]}",
        "finops.budgets.0.alert_at.0 is inf: input should be a finite number",
    ),
    "a threshold that is no number": (
        "finops: {budgets: [{name: a, usd: 1, alert_at: [.nan]}]}",
        "finops.budgets.0.alert_at.0 is nan: input should be a finite number",
    ),
    "a cost of the tool that is none": (
        "finops: {tool_usd_month: some}",
        "finops.tool_usd_month is 'some'.*a value of type float",
    ),
    "a price of a model that is no table": (
        "finops: {api_prices: {gpt: 5}}",
        "finops.api_prices.gpt is 5: it must be a table.*{NAME: {input_usd: VALUE, output_usd: VALUE}}",
    ),
    "half a price of a model": (
        "finops: {api_prices: {gpt: {input_usd: 1}}}",
        "finops.api_prices.gpt.output_usd.*field required.*{NAME: {input_usd: VALUE, output_usd: VALUE}}",
    ),
    "a number that is none": ("observe: {step_s: often}", "observe.step_s is 'often'.*a value of type int"),
    "a value for a section": ("policy: enforce", "policy is a section, not a value; set its keys: mode"),
    "a list": ("- a", "is not a mapping"),
    "no YAML": ("a: [", "is not valid YAML"),
    "a day that no month has": (
        "policy: {freezes: [{first: 2026-02-30, last: 2026-03-02, zone: UTC, reason: x}]}",
        "is not valid YAML: day is out of range",
    ),
    "brackets without an end": ("[" * 5_000, "is not valid YAML: it is nested too deeply"),
    "a control character": ("a: \x07", "is not valid YAML"),
    "a key twice": ("policy: {mode: off}\npolicy: {max_risk: 1}", "the key policy is there twice.*line 2"),
    "a truth value for a number": (
        "policy: {min_confidence: off}",
        r"policy\.min_confidence is False: it is not a number; write a number",
    ),
    "a truth value for a number that may be missing": (
        "policy: {approvals: {above_gpus: yes}}",
        r"policy\.approvals\.above_gpus is True: it is not a number",
    ),
    "a budget by an unknown key": (
        "finops: {budgets: [{name: x, usd: 5, by: squad}]}\n",
        r"finops\.budgets\.0\.by is 'squad'.*fleet\|unallocated\|.*team",
    ),
    "a budget without end": ("finops: {budgets: [{name: x, usd: .inf}]}\n", r"finops\.budgets\.0\.usd is inf"),
    "tags of an unknown key": ("finops: {tags: {teem: [squad]}}\n", r"finops\.tags\.teem.*organisation\|team"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_an_invalid_file_is_named_with_its_key_and_a_hint(tmp_path, name):
    text, expected = BAD_FILES[name]
    with pytest.raises(InputError, match=rf"gpuwise\.yaml.*{expected}"):
        load(written(tmp_path, text), {}, {})


def test_a_missing_file_is_an_error():
    with pytest.raises(InputError, match=r"cannot read /nowhere\.yaml"):
        load(Path("/nowhere.yaml"), {}, {})


def test_an_invalid_variable_is_named():
    with pytest.raises(InputError, match=r"environment variable GPUWISE_OBSERVE_STEP_S: observe\.step_s is 'soon'"):
        load(None, {"GPUWISE_OBSERVE_STEP_S": "soon"}, {})


def test_no_two_keys_share_a_variable():
    names = [variable(key) for key in keys()]
    assert len(names) == len(set(names)) > 20


def team_policy(tmp_path, text):
    file = tmp_path / "team.yaml"
    file.write_text(text)
    return file


def test_a_policy_file_has_the_keys_of_the_section_and_flags_and_variables_override_it(tmp_path):
    file = team_policy(tmp_path, "mode: enforce\nmax_risk: 2\nprotected_namespaces: [payments]\n")
    expected = load(
        written(tmp_path, f"policy: {{{file.read_text().strip().replace(chr(10), ', ')}}}\n"), {}, {}
    ).policy
    assert load(None, {}, {"policy_file": file}).policy == expected
    assert load(written(tmp_path, f"policy_file: {file}\n"), {}, {}).policy == expected
    assert load(None, {"GPUWISE_POLICY_FILE": str(file)}, {}).policy == expected
    changed = load(None, {"GPUWISE_POLICY_MAX_RISK": "3"}, {"policy_file": file, "policy.mode": "off"}).policy
    assert (changed.mode, changed.max_risk, changed.protected_namespaces) == (Mode.OFF, 3, ("payments",))


BAD_POLICIES = {
    "an unknown key": ("moed: enforce", "unknown key moed; did you mean mode?"),
    "a configuration": ("policy: {mode: enforce}", "is a configuration, not a policy; use --config"),
    "a bad rule": ("rules: [{name: a, forbid_if: 'x >'}]", r"rules\.0\.forbid_if is 'x >': it is not valid CEL"),
    "a misspelt key in a list": ("rules: [{nam: a, forbid_if: 'true'}]", r"rules\.0"),
    "a list": ("- a", "is not a mapping"),
    "a freeze calendar twice": ("freezes: []\nmode: off\nfreezes: []", "the key freezes is there twice"),
    "no number": ("budget: {disruptions: yes}", "budget.disruptions is True: it is not a number"),
}


def test_a_key_may_override_what_a_merge_brings(tmp_path):
    text = (
        "recommend:\n  idle_after_h: {endpoint: 96, notebook: 8, batch: 24, training: 24}\n"
        "policy:\n  budgets:\n    namespace/a: &a {disruptions: 1, per_s: 60}\n"
        "    namespace/b: &b {<<: *a, disruptions: 2}\n    namespace/c: {<<: *b, per_s: 5}\n"
    )
    found = load(written(tmp_path, text), {}, {}).policy.budgets
    assert [(one.disruptions, one.per_s) for one in found.values()] == [(1, 60), (2, 60), (2, 5)]


@pytest.mark.parametrize("name", BAD_POLICIES)
def test_an_invalid_policy_file_is_named_with_its_key_and_a_hint(tmp_path, name):
    text, expected = BAD_POLICIES[name]
    with pytest.raises(InputError, match=rf"team\.yaml:? .*{expected}"):
        load(None, {}, {"policy_file": team_policy(tmp_path, text)})


def test_a_policy_file_and_a_section_at_once_is_an_error(tmp_path):
    file = team_policy(tmp_path, "mode: enforce\n")
    with pytest.raises(InputError, match=r"gpuwise\.yaml has policy\.mode, and the policy is in .*team\.yaml; move"):
        load(written(tmp_path, "policy: {mode: off}\n"), {}, {"policy_file": file})


def test_a_missing_policy_file_is_an_error():
    with pytest.raises(InputError, match=r"cannot read /nowhere\.yaml.*check --policy or policy_file"):
        load(None, {}, {"policy_file": Path("/nowhere.yaml")})


def test_lists_and_tables_in_the_environment_are_json_or_yaml():
    window = '[{"start": "22:00", "end": "06:00", "zone": "Europe/Berlin"}]'
    found = load(
        None,
        {
            "GPUWISE_POLICY_WINDOWS": window,
            "GPUWISE_POLICY_BUDGETS": "{namespace/search: {disruptions: 2}}",
            "GPUWISE_POLICY_PROTECTED_NAMESPACES": "payments, notebooks",
            "GPUWISE_RECOMMEND_REGIONS_BY_DATA_CLASS": "{voices: [eu-west-1]}",
            "GPUWISE_POLICY_PROTECTIONS": "tier=gold",
        },
        {},
    )
    assert [one.zone.key for one in found.policy.windows] == ["Europe/Berlin"]
    assert found.policy.budgets["namespace/search"].disruptions == 2
    assert found.policy.protected_namespaces == ("payments", "notebooks")
    assert found.recommend.regions_by_data_class == {"voices": ("eu-west-1",)}
    assert found.policy.protections == {"tier": "gold"}


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("WINDOWS", "daily", "a list, in the file: policy.windows"),
        ("WINDOWS", "[{start", "is not valid JSON or YAML"),
        ("BUDGETS", "search=1", "a table, in the file: policy.budgets"),
        ("RULES", "[{name: a}]", r"policy\.rules\.0"),
    ],
)
def test_a_bad_list_or_table_in_the_environment_is_an_error_that_says_how_to_write_it(name, text, expected):
    with pytest.raises(InputError, match=rf"environment variable GPUWISE_POLICY_{name}.*{expected}"):
        load(None, {f"GPUWISE_POLICY_{name}": text}, {})
