"""Run passes of the loop: a failed pass does not end the process."""

import threading
import time
import traceback
from collections.abc import Callable

from gpuwise.cli.console import err, say
from gpuwise.model.command import Outcome
from gpuwise.model.errors import GpuwiseError
from gpuwise.pipeline import Pipeline

FOLLOW_S = 15.0
"""Seconds between two checks of the effects that are being watched."""

RETRY_S = 30.0
"""Pause after a pass that failed, unless the interval is shorter."""


def passed(one: Callable[[], object]) -> bool:
    """Run one pass and return whether it succeeded; print its error."""
    try:
        one()
    except GpuwiseError as error:
        say(f"pass failed: {error}", to=err)
        return False
    except Exception as error:  # noqa: BLE001 - the next pass may succeed
        say(
            f"pass failed: {type(error).__name__}: {error}; this is a bug in gpuwise: please report it",
            to=err,
        )
        traceback.print_exc()
        return False
    return True


def followed(pipeline: Pipeline, pause_s: float, stop: threading.Event, *, wait: Callable[[float], object]) -> None:
    """Wait for the next pass, and check the effects that are being watched meanwhile.

    Args:
        pipeline: the loop.
        pause_s: seconds until the next pass.
        stop: ends the wait.
        wait: waits some seconds; a true result ends the wait, too.
    """
    until = time.monotonic() + pause_s
    while (left_s := until - time.monotonic()) > 0 and not stop.is_set():
        if wait(min(FOLLOW_S, left_s)):
            return
        passed(lambda: _follow(pipeline))


def _follow(pipeline: Pipeline) -> None:
    for outcome in pipeline.follow():
        _show(outcome)


def _show(outcome: Outcome) -> None:
    why = f" {outcome.reason.value}:" if outcome.reason is not None else ""
    say(f"{outcome.command_id} {outcome.status.value}:{why} {outcome.detail}", to=err)
