"""Findings as SARIF 2.1.0, which code hosts show in reviews."""

from collections.abc import Sequence
from typing import Any

from gpuwise import __version__
from gpuwise.lint.finding import Code, Finding, Severity

_LEVELS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "note"}


def sarif(findings: Sequence[Finding]) -> dict[str, Any]:
    """Return a SARIF log.

    Args:
        findings: of the checks.
    """
    rules = [{"id": code.value} for code in Code]
    driver = {"name": "gpuwise", "version": __version__, "rules": rules}
    return {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{"tool": {"driver": driver}, "results": [_result(one) for one in findings]}],
    }


def _result(one: Finding) -> dict[str, Any]:
    text = "; ".join(part for part in (f"{one.subject}: {one.text}" if one.subject else one.text, one.hint) if part)
    place = {"artifactLocation": {"uri": one.file}, "region": {"startLine": one.line}}
    return {
        "ruleId": one.code.value,
        "level": _LEVELS[one.severity],
        "message": {"text": text},
        "locations": [{"physicalLocation": place}],
    }
