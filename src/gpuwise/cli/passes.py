"""Run passes of the loop: a failed pass does not end the process."""

import traceback
from collections.abc import Callable

from gpuwise.cli.console import err, say
from gpuwise.model.errors import GpuwiseError

RETRY_S = 30.0
"""Pause after a pass that failed, unless the interval is shorter."""


def passed(one: Callable[[], None]) -> bool:
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
