from pathlib import Path

import pytest
import yaml

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
    "a number that is none": ("observe: {step_s: often}", "observe.step_s is 'often'.*a value of type int"),
    "a value for a section": ("policy: enforce", "policy is a section, not a value; set its keys: mode"),
    "a list": ("- a", "is not a mapping"),
    "no YAML": ("a: [", "is not valid YAML"),
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
