"""Whose cost it is: coverage of the tagging policy, and what was forgotten, from the cost history."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

from gpuwise.finops.orphans import Orphan, Use
from gpuwise.finops.orphans import orphans as find_orphans
from gpuwise.finops.tagging import WORKLOAD, Seen, Tagging, name_of, tagged
from gpuwise.model.cost import CostSum
from gpuwise.model.errors import InputError
from gpuwise.model.ports import CostHistory
from gpuwise.model.usage import DAY_S
from gpuwise.spending.budgets import added

_FIRST_SEEN_S = 91 * DAY_S
"""How far back the first day of a workload is looked for, and the days without use of what is forgotten: 13 weeks."""
SCAN = "run `gpuwise scan` with this ledger: it adds the days of its look-back, each complete two hours after its end"
"""What to do about a history without a complete day."""
_OWNERS = ("team", "user", "creator")
ORPHAN_LEVELS: Mapping[str, tuple[str, ...]] = {
    "cluster": ("cluster",),
    "namespace": ("cluster", "namespace"),
    "workload": ("cluster", "namespace", "workload"),
}
"""What may be forgotten, with the keys that name it."""


def tagging(
    history: CostHistory, required: Mapping[str, Sequence[str]], since_s: int, until_s: int, now_s: int
) -> Tagging:
    """The cost of a period by the tagging policy.

    Args:
        history: daily cost.
        required: the allowed values of each required key.
        since_s: midnight of the first day, epoch seconds.
        until_s: midnight after the last one.
        now_s: epoch seconds.
    """
    seen: dict[tuple[str, str], Seen] = {}
    for one in history.sums(
        ("day", *WORKLOAD, "creator"), min(since_s, now_s - now_s % DAY_S - _FIRST_SEEN_S), until_s
    ):
        day_s, cluster, namespace, workload, creator = one.keys
        key = str(cluster or ""), name_of(namespace, workload)
        before = seen.setdefault(key, Seen(int(day_s or 0)))
        if creator is not None and creator not in before.creators:
            seen[key] = replace(before, creators=(*before.creators, str(creator)))
    return tagged(history.sums((*WORKLOAD, *required), since_s, until_s), required, seen)


def orphans(
    history: CostHistory, by: str, least_d: int, known: Mapping[str, Sequence[str]], now_s: int
) -> tuple[Orphan, ...]:
    """What has had GPUs on each of the last complete days and used none.

    Args:
        history: daily cost.
        by: one of `ORPHAN_LEVELS`.
        least_d: days without use from which it counts.
        known: the owners that exist, by key.
        now_s: epoch seconds.

    Raises:
        InputError: there is no complete day.
    """
    keys = ORPHAN_LEVELS[by]
    first_s = now_s - now_s % DAY_S - _FIRST_SEEN_S
    closed = {name: {day.day_s for day in history.of(name).days(first_s, now_s) if day.closed}
              for name in history.clusters()}  # fmt: skip
    if not any(closed.values()):
        raise InputError("the cost history has no complete day", hint=SCAN)
    days: defaultdict[tuple[str, ...], dict[int, CostSum]] = defaultdict(dict)
    for one in history.sums((*keys, "day"), first_s, now_s):
        name, day_s = _named(one.keys[:-1]), int(one.keys[-1] or 0)
        # What no pod was allocated belongs to the cluster alone.
        if day_s in closed.get(name[0], ()) and not (one.nobody and by != "cluster"):
            days[name][day_s] = added(days[name].get(day_s), one)
    since = {name: max(closed[name]) - (least_d - 1) * DAY_S for name in closed if closed[name]}
    owners: defaultdict[tuple[str, ...], defaultdict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for one in history.sums((*keys, *_OWNERS, "day"), min(since.values()), now_s):
        name = _named(one.keys[: len(keys)])
        for key, value in zip(_OWNERS, one.keys[len(keys) : -1], strict=True):
            if value is not None and int(one.keys[-1] or 0) >= since.get(name[0], now_s):
                owners[name][key].add(str(value))
    worked: defaultdict[tuple[str, ...], set[int]] = defaultdict(set)
    for *place, day_s in history.worked(first_s, now_s):
        worked[_named(place[: len(keys)])].add(day_s)
    uses = {
        name: Use(
            of_day,
            max(closed[name[0]]),
            {key: frozenset(names) for key, names in owners[name].items()},
            frozenset(worked[name]),
        )
        for name, of_day in days.items()
    }
    return find_orphans(uses, least_d, known)


def _named(keys: Sequence[str | int | None]) -> tuple[str, ...]:
    return tuple("" if key is None else str(key) for key in keys)
