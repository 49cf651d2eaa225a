"""One pass of the loop after the other: what ends one does not end the rest."""

import traceback
from collections.abc import Callable

from gpuwise.cli.console import err, say
from gpuwise.model.errors import GpuwiseError

RETRY_S = 30.0
"""Pause after a pass that failed, unless the interval is shorter."""


def passed(one: Callable[[], None]) -> bool:
    """Whether one pass of the loop succeeded; its error is told, and ends nothing: the next may succeed."""
    try:
        one()
    except GpuwiseError as error:
        say(f"pass failed: {error}", to=err)
        return False
    except Exception as error:  # noqa: BLE001 - a defect in one pass is no reason to stop looking
        say(f"pass failed: {type(error).__name__}: {error}; this is a defect of gpuwise: report it with this", to=err)
        traceback.print_exc()
        return False
    return True
