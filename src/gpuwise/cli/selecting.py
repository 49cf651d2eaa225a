"""Selecting workloads: -n, -A and -l."""

from collections.abc import Collection
from dataclasses import dataclass

from gpuwise.model.errors import InputError
from gpuwise.model.inventory import Inventory
from gpuwise.model.ownership import selects
from gpuwise.model.ports import InventorySource
from gpuwise.model.selector import parse_selector
from gpuwise.pipeline import Survey


@dataclass(frozen=True, slots=True)
class Selection:
    """Namespaces and labels of the workloads to show.

    Attributes:
        namespaces: names; empty for all.
        selector: as kubectl's -l; "" for all.
    """

    namespaces: tuple[str, ...]
    selector: str

    def __str__(self) -> str:
        """For a person: "namespace sandbox, labels team=nlp"."""
        where = f"namespace{'s' if len(self.namespaces) > 1 else ''} {', '.join(self.namespaces)}"
        parts = (where if self.namespaces else "", f"labels {self.selector}" if self.selector else "")
        return ", ".join(filter(None, parts))

    def of(self, survey: Survey) -> Survey:
        """Return the selected part of a survey."""
        if not self.namespaces and not self.selector:
            return survey
        labels = parse_selector(self.selector)
        chosen = [
            workload
            for workload in survey.inventory.workloads
            if (not self.namespaces or workload.ref.namespace in self.namespaces) and selects(labels, workload.labels)
        ]
        # Of what was deleted only the namespace is known, not the labels.
        return survey.only(chosen, str(self), deleted_in=() if self.selector else self.namespaces)


def selection(namespaces: tuple[str, ...], selector: str | None, *, everywhere: bool) -> Selection:
    """Parse the flags; -A overrides -n, as in kubectl.

    Raises:
        InputError: the selector cannot be parsed.
    """
    try:
        parse_selector(selector or "")
    except ValueError as error:
        hint = "separate requirements with commas: team=search, team!=dev, team in (search,nlp), team, !team"
        raise InputError(f"--selector is {selector!r}: {error}", hint=hint) from error
    return Selection(() if everywhere else namespaces, selector or "")


@dataclass(frozen=True, slots=True)
class Existing:
    """An inventory source that checks that namespaces exist, before the fleet is scored.

    Attributes:
        source: of the inventory.
        namespaces: those that must exist.
    """

    source: InventorySource
    namespaces: Collection[str]

    def snapshot(self, now_s: int) -> Inventory:
        """List everything, as the source does.

        Raises:
            InputError: a namespace does not exist.
        """
        fleet = self.source.snapshot(now_s)
        used = {workload.ref.namespace for workload in fleet.workloads}
        missing = [name for name in self.namespaces if name not in used and name not in fleet.namespaces]
        if missing:
            hint = f"GPU workloads are in: {', '.join(sorted(used)) or 'no namespace'}"
            raise InputError(f"--namespace: there is no namespace {missing[0]}", hint=hint)
        return fleet
