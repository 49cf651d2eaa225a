"""Start a stopped object again from its own annotation: without ledger, Prometheus, Ray or a leader (I17).

A stop writes the annotation `gpuwise.dev/wake` in the same patch. Its value is a merge patch, so that `kubectl patch`
can do the same as `gpuwise wake`.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from gpuwise.enact.images import Image, parts_of
from gpuwise.model.ports import Object


def instructions(before: Image, changed: Mapping[str, Any], marks: Iterable[str]) -> str:
    """Return the merge patch that restores the changed fields and removes gpuwise's annotations, as JSON.

    Args:
        before: current values of the fields; an absent field is removed again.
        changed: the fields that the stop sets.
        marks: gpuwise's own annotations.
    """
    patch: Object = {}
    for at, value in ({at: before.get(at) for at in changed} | dict.fromkeys(marks)).items():
        *parents, last = parts_of(at)
        place = patch
        for part in parents:
            place = place.setdefault(part, {})
        place[last] = value
    return json.dumps(patch, separators=(",", ":"), sort_keys=True)
