"""Outcomes of effects on workloads."""

from dataclasses import replace

from gpuwise.enact.effects import Effect
from gpuwise.model.command import Command, Intent, Outcome, OutcomeStatus
from gpuwise.model.reasons import Reason

WRITTEN = (OutcomeStatus.APPLIED, OutcomeStatus.WATCHING)
"""The effect is on the object."""


def outcome_of(command: Command, at_s: int, status: OutcomeStatus, reason: Reason | None, detail: str) -> Outcome:
    """Return the outcome of a command."""
    return Outcome(command.id, at_s, status, reason, detail)


def written_of(intent: Intent, at_s: int, detail: str) -> Outcome:
    """Return the outcome of an effect that is on the object: its pods are watched if the intent says so."""
    status = OutcomeStatus.APPLIED if intent.watch is None else OutcomeStatus.WATCHING
    return outcome_of(intent.command, at_s, status, None, detail)


def noted(outcome: Outcome, effect: Effect) -> Outcome:
    """Add the effect's note to an outcome that says what was or would be written."""
    shown = outcome.status in (*WRITTEN, OutcomeStatus.WOULD_APPLY) and effect.note
    return replace(outcome, detail=f"{outcome.detail} ({effect.note})") if shown else outcome
