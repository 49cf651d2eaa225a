"""The clock of the election."""

import time

# CLOCK_MONOTONIC of Linux stands still while the machine is suspended, and other machines' clocks do not: a leader that
# wakes up would believe that its lease is still good. CLOCK_BOOTTIME goes on. A virtual machine that its hypervisor
# pauses may see neither: then the ledger's epoch and the resourceVersion of each write refuse it.
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def monotonic() -> float:
    """Seconds since some instant, including suspension; never set back."""
    return time.clock_gettime(_CLOCK)
