"""What happened in a world: the writes that the API server and the ledger have stored."""

from collections.abc import Container
from dataclasses import dataclass, field
from typing import Any

from gpuwise.enact.images import image_of
from gpuwise.enact.node_steps import LAYOUT
from gpuwise.model.labels import ACTION_ID, CANARY, EXPIRES, FENCED_BY


@dataclass(frozen=True, slots=True)
class Reads:
    """What a process had read when it wrote.

    Attributes:
        decided: place in the log at which it last read people's orders.
        checked: places in the log at which it last read what protects a target, by path.
        measured: the signals as it last read them, by name.
    """

    decided: int = 0
    checked: dict[str, int] = field(default_factory=dict)
    measured: dict[str, float | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Effect:
    """A write that the API server has stored.

    Attributes:
        seq: place in the log of the world.
        at_s: true time, epoch seconds.
        process: who wrote it.
        epoch: term of the process, None for a person's command.
        latest: the latest term that had begun by then.
        operation: what the process was doing.
        role: "apply", "step" (of a node's action), "promote" (the other pods follow the first ones), "restore" (undo,
            revert or wake), "end" (of a drain), "fence" or "other".
        command_id: the action or the step, "" if the object names none.
        path: of the object.
        body: the request.
        before: the object before, None if it did not exist.
        after: the object after.
        reads: what the process had read.
        late: whether the request hung: it was stored after the process had given up.
    """

    seq: int
    at_s: int
    process: str
    epoch: int | None
    latest: int
    operation: str
    role: str
    command_id: str
    path: str
    body: Any
    before: dict | None
    after: dict | None
    reads: Reads
    late: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """A ledger write that was committed.

    Attributes:
        seq: place in the log of the world.
        at_s: true time, epoch seconds.
        process: who wrote it.
        kind: the method of the ledger.
        value: what was recorded.
        measured: the signals as the process last read them, by name.
    """

    seq: int
    at_s: int
    process: str
    kind: str
    value: Any
    measured: dict[str, float | None] = field(default_factory=dict)


def role_of(before, after, written: Container[str], step: str) -> tuple[str, str]:
    """What a write did, judged by gpuwise's marks: role and action id.

    Args:
        before: the object before.
        after: the object after, None if it is gone.
        written: the actions that have been written before; an undo puts back the mark of an earlier one.
        step: the open step of an action that this write may be, "" for none.
    """
    old, new = mark_of(before), mark_of(after)
    if step and (after is None or "deletionTimestamp" in after["metadata"] or _layout(before) != _layout(after)):
        return "step", step
    if step and new == old and _annotation(before, CANARY) and not _annotation(after, CANARY):
        return "promote", step
    if new and new != old and not (old and new in written):
        return "apply", new
    if old and new != old:
        return "restore", old
    for role, name in (("fence", FENCED_BY), ("end", EXPIRES)):
        if _annotation(before, name) != _annotation(after, name):
            return role, new
    return "other", new


def mark_of(item) -> str:
    """The action id on an object, "" for none."""
    return _annotation(item, ACTION_ID)


def _annotation(item, name: str) -> str:
    return "" if item is None else (item["metadata"].get("annotations") or {}).get(name, "")


def _layout(item) -> str | None:
    return None if item is None else image_of(item, {LAYOUT: None}).get(LAYOUT)
