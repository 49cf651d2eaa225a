"""The verdict on a card: each rule, their order, and what is not known."""

import pytest
from tests.collect.readings import card
from tests.conftest import REPOSITORY

from gpuwise.collect import catalogue as c
from gpuwise.collect.health import DRAIN, HEALTHY, JUDGED, RESET, RESET_XIDS, RULES, XID_COUNTS_S, with_health
from gpuwise.collect.metric import Metric, Sample
from gpuwise.collect.reading import Reading

NOW_S = 100_000.0
Facts = dict[tuple[Metric, str] | tuple[Metric, str, str] | tuple[Metric], float]
GOOD: Facts = {
    **{(c.RECOVERY_ACTION, action): float(action == "none") for action in c.RECOVERY_ACTIONS},
    (c.REMAP_FAILED,): 0.0, (c.REMAP_PENDING,): 0.0, (c.SRAM_THRESHOLD,): 0.0, (c.RETIREMENT_PENDING,): 0.0,
    (c.REPAIR_PENDING, "channel"): 0.0, (c.REPAIR_PENDING, "tpc"): 0.0, (c.NVLINK_ERRORS, "recovery"): 0.0,
    (c.ECC_ERRORS, "uncorrected", "volatile"): 0.0,
}  # fmt: skip
RECOVERY = {(c.RECOVERY_ACTION, action): float(action == "gpu_reset") for action in c.RECOVERY_ACTIONS}
NO_RECOVERY = {key: value for key, value in GOOD.items() if key[0] is not c.RECOVERY_ACTION}


def verdict(facts: Facts) -> tuple[str, float] | None:
    samples = tuple(
        Sample(metric, value, labels) for (metric, *labels), value in facts.items() for labels in [tuple(labels)]
    )
    found = [one for one in with_health(Reading(card(), NOW_S, samples)).samples if one.metric is c.HEALTH]
    assert len(found) <= 1
    return (found[0].labels[0], found[0].value) if found else None


def test_a_card_without_a_fault_is_healthy():
    assert verdict(GOOD) == ("Healthy", HEALTHY)


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (RECOVERY, ("RecoveryAction", DRAIN)),
        ({(c.REMAP_FAILED,): 1.0}, ("RowRemapFailure", DRAIN)),
        ({(c.SRAM_THRESHOLD,): 1.0}, ("SramErrorThreshold", DRAIN)),
        ({(c.NVLINK_ERRORS, "recovery"): 2.0}, ("NvlinkRecoveryErrors", DRAIN)),
        ({(c.REMAP_PENDING,): 1.0}, ("RowRemapPending", RESET)),
        ({(c.RETIREMENT_PENDING,): 1.0}, ("PageRetirementPending", RESET)),
        ({(c.REPAIR_PENDING, "tpc"): 1.0}, ("RepairPending", RESET)),
        ({(c.ECC_ERRORS, "uncorrected", "volatile"): 1.0}, ("UncorrectedEcc", RESET)),
    ],
)
def test_each_fault_has_its_reason(fault: Facts, expected: tuple[str, float]):
    assert verdict(GOOD | fault) == expected
    assert verdict(fault) == expected  # also on a board that reports nothing else


def test_the_most_severe_reason_is_given():
    assert verdict(GOOD | {(c.REMAP_PENDING,): 1.0, (c.REMAP_FAILED,): 1.0}) == ("RowRemapFailure", DRAIN)


def test_a_fatal_xid_counts_for_a_day_if_the_driver_reports_no_recovery_action():
    fatal = {(c.XID_LAST_AT, "79"): NOW_S - 10, (c.XID_LAST_AT, "13"): NOW_S}
    assert verdict(NO_RECOVERY | fatal) == ("FatalXid", DRAIN)
    assert verdict(GOOD | fatal) == ("Healthy", HEALTHY)  # a reset has cleared the recovery action
    assert verdict(NO_RECOVERY | {(c.XID_LAST_AT, "79"): NOW_S - XID_COUNTS_S - 1}) == ("Healthy", HEALTHY)


@pytest.mark.parametrize("application", ["13", "31", "43", "45"])
def test_an_error_of_an_application_is_not_a_fault_of_the_card(application: str):
    assert application not in RESET_XIDS
    assert verdict(NO_RECOVERY | {(c.XID_LAST_AT, application): NOW_S}) == ("Healthy", HEALTHY)


def test_a_board_that_reports_none_of_it_has_no_verdict():
    assert verdict({(c.POWER,): 60.0}) is None
    assert verdict({(c.XID_LAST_AT, "13"): NOW_S}) is None


def test_the_rules_judge_these_metrics():
    assert {metric for metric, *_ in GOOD} == JUDGED


def test_every_rule_is_documented():
    text = (REPOSITORY / "docs" / "exporter.md").read_text()
    for rule in RULES:
        assert f"| `{rule.reason}` | {rule.level:.0f} | {rule.text} |" in text
