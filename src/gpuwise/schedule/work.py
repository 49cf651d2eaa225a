"""What runs on the nodes of Ray: probes, and items of work."""

import pickle
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import ray

from gpuwise.model.errors import GpuwiseError
from gpuwise.schedule.installation import installation

Same = Callable[[], Mapping[str, str]]
"""Returns facts that must be the same on every machine that takes part, such as the digest of a recording."""


@dataclass(frozen=True, slots=True)
class Refused:
    """An item that failed in a way that another node does not change.

    Attributes:
        error: what its function raised.
    """

    error: Exception


@dataclass(frozen=True, slots=True)
class Differs:
    """A node on which the item did not run, because something else is installed there.

    Attributes:
        facts: what is installed.
    """

    facts: Mapping[str, str]


def facts_of(same: Same | None) -> dict[str, str]:
    """Return what must be equal on every machine that takes part in the work.

    Args:
        same: returns further facts; None for none.
    """
    return {**installation(), **(same() if same is not None else {})}


def probe(same: Same | None) -> Mapping[str, str] | Refused:
    """Run `facts_of` on a node."""
    try:
        return facts_of(same)
    except GpuwiseError as error:
        return Refused(error)


@lru_cache(maxsize=1)
def _read(function: Any) -> Callable[[Any], Any]:
    """Read the work from its reference: a worker does it once, and not for each item.

    It has the inventory of the fleet, which takes a millisecond for each 100 GPUs; so do more GPUs make more items.
    """
    found: Callable[[Any], Any] = ray.get(function)
    return found


def run(wanted: Mapping[str, str], function: Sequence[Any], item: bytes) -> tuple[Any, Any]:
    """Run an item on a node.

    Args:
        wanted: what must be installed; the source of the data was compared when the node was accepted.
        function: one reference to the work, in a list, so that Ray passes it on unread.
        item: its argument, pickled.

    Returns:
        None or what is wrong, and the result: two values, so that the one can be read without the other.
    """
    found = installation()
    if any(wanted.get(name) != value for name, value in found.items()):
        return Differs(found), None
    work = _read(function[0])
    try:
        return None, work(pickle.loads(item))  # noqa: S301 - from gpuwise's own process
    except Exception as error:  # noqa: BLE001 - raised again where the work was asked for
        return Refused(error), None
