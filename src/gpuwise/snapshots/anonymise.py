"""Replace the names in a snapshot by pseudonyms.

A text is kept only if its field is listed here, so a field that is added later is replaced. The same text has the same
pseudonym everywhere: a node's name, its label kubernetes.io/hostname and the affinity of a pod still agree.
"""

import hashlib
import hmac
import re
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass, replace
from datetime import date, time
from enum import Enum
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from gpuwise.decide.calendar import Freeze, MaintenanceWindow
from gpuwise.decide.settings import DecideSettings, Rule
from gpuwise.model import changes
from gpuwise.model.command import FLEET, POLICY, Command, Directive, Intent, Limit, Outcome
from gpuwise.model.gpu import GpuType
from gpuwise.model.inventory import GpuRequest, Inventory, Namespace, Node, Pod, Workload, WorkloadRef
from gpuwise.model.protection import SYSTEM_NAMESPACES
from gpuwise.model.recommendation import Blocked, Evidence, Recommendation
from gpuwise.model.scheduling import Openness, Repulsion, Requirement, Scheduling, Taint, Toleration
from gpuwise.snapshots.known import KINDS, WORDS, known_key, known_value
from gpuwise.snapshots.snapshot import Snapshot

T = TypeVar("T")

_LITERAL = re.compile(r"""[rRbB]?("(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')""")
_WORD = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
_PARTS = re.compile(r"startsWith|endsWith|contains|matches|size")
"""Functions of CEL that look at parts of a text, of which a pseudonym has none."""


def anonymised(snapshot: Snapshot, key: bytes) -> Snapshot:
    """Return a snapshot with pseudonyms instead of names; the decisions on it are the same, apart from the names.

    Args:
        snapshot: with names.
        key: secret key of the pseudonyms.
    """
    return _Anonymiser(key).snapshot(snapshot)


def anonymised_policy(settings: DecideSettings, key: bytes) -> DecideSettings:
    """Return a policy whose names match an anonymised snapshot.

    Args:
        settings: with names.
        key: of the snapshot.
    """
    return _Anonymiser(key).walk(settings)


def unmatched(settings: DecideSettings) -> tuple[str, ...]:
    """Return what of a policy cannot match the pseudonyms of a snapshot, for a person.

    Args:
        settings: a policy with names, or the policy of the snapshot.
    """
    found = [f"protected_namespaces {name}" for name in settings.protected_namespaces]
    found += [f"budgets {scope}" for scope in settings.budgets if not scope.endswith("/*")]
    found += [f"freezes in {name}" for one in settings.freezes for name in one.namespaces]
    found += [f"rule {one.name}" for one in settings.rules if _names_in(one.forbid_if)]
    return tuple(found)


def inexact(settings: DecideSettings) -> tuple[str, ...]:
    """Return the names of the rules whose result may differ on pseudonyms: those that look at parts of a text."""
    return tuple(one.name for one in settings.rules if _PARTS.search(one.forbid_if))


def _names_in(expression: str) -> bool:
    return any(found[1][1:-1] not in WORDS for found in _LITERAL.finditer(expression))


class _Anonymiser:
    """Replaces names.

    Args:
        key: secret key of the pseudonyms.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._names: dict[str, str] = {}
        self._ids: dict[str, str] = {}

    def snapshot(self, given: Snapshot) -> Snapshot:
        # Ids break ties between equal savings: their order is kept, so that the decisions are the same.
        ids = sorted({one.id for one in (*given.recommendations, *given.alternatives)})
        self._ids = {name: f"r-{number:010}" for number, name in enumerate(ids, start=1)}
        inventory = self.walk(given.inventory)  # first: later texts are searched for its names
        return replace(
            given,
            anonymised=True,
            cluster=self.name(given.cluster),
            prices=given.prices.rpartition("(")[2].rstrip(")"),
            inventory=inventory,
            settings=self.walk(given.settings),
            regions={self.name(one): regions for one, regions in given.regions.items()},
            **{
                name: self.walk(getattr(given, name))
                for name in ("recommendations", "alternatives", "intents", "outcomes", "directives", "checks")
            },
        )

    def walk(self, value: T) -> T:
        """Return a copy without names."""
        return self._walk(value)  # type: ignore[no-any-return]

    def _walk(self, value: Any) -> Any:
        if isinstance(value, str) and not isinstance(value, Enum):
            return self.name(value)
        if value is None or isinstance(value, bool | int | float | Enum | ZoneInfo | date | time | GpuType):
            return value
        if isinstance(value, tuple | frozenset):
            return type(value)(map(self._walk, value))
        if isinstance(value, Mapping):
            return {self._walk(name): self._walk(one) for name, one in value.items()}
        if not is_dataclass(value):
            raise TypeError(f"a {type(value).__name__} cannot be anonymised")
        changed = {}
        for one in fields(value):
            how = _FIELDS.get((type(value), one.name), _Anonymiser._walk)
            changed[one.name] = how(self, getattr(value, one.name))
        return self._whole(replace(value, **changed), value)  # type: ignore[type-var]

    def _whole(self, made: Any, value: Any) -> Any:
        """Replace fields whose meaning depends on another field."""
        if isinstance(value, Taint | Toleration):
            return replace(made, key=self.key(value.key), value=self.value(value.key, value.value))
        if isinstance(value, Requirement):
            values = tuple(self.value(value.key, one) for one in value.values)
            return replace(made, key=self.key(value.key), values=values)
        return made

    def name(self, text: str) -> str:
        """Return the pseudonym of a text; an empty text stays empty."""
        if text not in self._names:
            self._names[text] = (
                f"x{hmac.new(self._key, text.encode(), hashlib.sha256).hexdigest()[:12]}" if text else ""
            )
        return self._names[text]

    def key(self, name: str) -> str:
        """Return the name of a label or resource, or its pseudonym if its domain is not a public one."""
        return name if known_key(name) else self.name(name)

    def value(self, key: str, value: str) -> str:
        """Return the value of a label: as it is if policies read its meaning."""
        return value if known_value(key, value) else self.name(value)

    def labels(self, given: Mapping[str, str]) -> dict[str, str]:
        return {self.key(key): self.value(key, str(value)) for key, value in given.items()}

    def namespace(self, name: str) -> str:
        return name if name in SYSTEM_NAMESPACES else self.name(name)

    def kind(self, name: str) -> str:
        return name if name in KINDS else self.name(name)

    def identifier(self, name: str | None) -> str | None:
        if name is None or name == "*":
            return name
        return self._ids.get(name) or self.name(name)

    def scope(self, name: str) -> str:
        kind, slash, member = name.partition("/")
        if not slash:
            return name if name == FLEET else self.name(name)
        if member in ("*", "none"):
            return name
        return f"{kind}/{self.namespace(member) if kind == 'namespace' else self.name(member)}"

    def text(self, given: str) -> str:
        """Return a text of gpuwise with pseudonyms instead of the names in it."""
        return _WORD.sub(
            lambda found: self._names.get(found[0], found[0]) if found[0] not in WORDS else found[0], given
        )

    def path(self, given: str) -> str:
        """Return the pseudonym of namespace/Kind/name."""
        namespace, _, rest = given.partition("/")
        kind, _, name = rest.partition("/")
        return f"{self.namespace(namespace)}/{self.kind(kind)}/{self.name(name)}"

    def expression(self, given: str) -> str:
        """Return an expression in CEL with pseudonyms in its text literals."""

        def literal(found: re.Match[str]) -> str:
            text = found[1][1:-1]
            if text in WORDS or (known_key(text) and "/" in text) or known_value("", text):
                return found[0]
            return f'"{self.namespace(text)}"'

        return _LITERAL.sub(literal, given)


_How = Callable[[_Anonymiser, Any], Any]


def _kept(_self: _Anonymiser, value: Any) -> Any:
    return value


def _gone(_self: _Anonymiser, value: Any) -> Any:
    return type(value)()


def _each(how: _How) -> _How:
    return lambda self, values: type(values)(how(self, one) for one in values)


def _by(key: _How, value: _How = _Anonymiser.walk) -> _How:
    return lambda self, given: {key(self, name): value(self, one) for name, one in given.items()}


_labels: _How = _Anonymiser.labels
_FIELDS: Mapping[tuple[type, str], _How] = {
    **{(kind, name): _labels for kind in (Workload, Pod, Namespace) for name in ("labels", "annotations")},
    (Workload, "pod_labels"): _labels,
    (Workload, "chain"): _each(lambda self, one: (self.kind(one[0]), self.name(one[1]))),
    (WorkloadRef, "kind"): _Anonymiser.kind,
    (WorkloadRef, "namespace"): _Anonymiser.namespace,
    (GpuRequest, "resource"): _Anonymiser.key,
    **{(Node, name): _kept for name in ("gpu_product", "mig", "region", "zone")},
    (Node, "marks"): _labels,
    (Pod, "phase"): _kept,
    (Namespace, "name"): _Anonymiser.namespace,
    (Openness, "labels"): _labels,
    (Openness, "free"): _by(_Anonymiser.key),
    (Scheduling, "requests"): _by(_Anonymiser.key),
    (Taint, "effect"): _kept,
    (Toleration, "operator"): _kept,
    (Toleration, "effect"): _kept,
    (Requirement, "operator"): _kept,
    (Repulsion, "selector"): lambda _self, _value: {},  # selects every pod, which allows less
    (Inventory, "namespaces"): _by(_Anonymiser.namespace),
    (Inventory, "not_measured"): _by(_Anonymiser.key),
    (Recommendation, "id"): _Anonymiser.identifier,
    (Recommendation, "effort"): _kept,
    (Evidence, "text"): _Anonymiser.text,
    (Evidence, "statistic"): _kept,
    (Evidence, "unit"): _kept,
    (Evidence, "query"): lambda _self, _value: None,
    (Blocked, "stage"): _kept,
    (Blocked, "policy"): _kept,
    (Blocked, "detail"): lambda _self, _value: "the detail is not in an anonymised snapshot",
    (Blocked, "recommendation_id"): _Anonymiser.identifier,
    (Command, "recommendation_id"): _Anonymiser.identifier,
    (Command, "actor"): lambda self, actor: actor if actor == POLICY else self.name(actor),
    (Command, "because"): lambda _self, _value: None,
    (Limit, "scope"): _Anonymiser.scope,
    (Intent, "pre_image"): _gone,
    (Intent, "post_image"): _gone,
    (Intent, "watch"): lambda _self, _value: None,
    (Intent, "scopes"): lambda self, scopes: None if scopes is None else tuple(map(self.scope, scopes)),
    (Outcome, "detail"): _gone,
    (Directive, "kind"): _kept,
    (Directive, "subject"): _Anonymiser.identifier,
    (Directive, "detail"): _gone,
    **{(kind, "kind"): _kept for kind in changes.Change.__args__},
    (changes.MoveToSpot, "zone"): _kept,
    **{(changes.ChangeGpuType, name): _kept for name in ("current", "proposed")},
    **{(changes.MoveToRegion, name): _kept for name in ("current", "allowed")},
    **{(changes.Repartition, name): _kept for name in ("current", "proposed")},
    **{
        (kind, "moves"): _each(lambda self, one: (self.path(one[0]), self.name(one[1]), self.name(one[2])))
        for kind in (changes.FreeNode, changes.MakeSpace)
    },
    (DecideSettings, "protected_namespaces"): _each(_Anonymiser.namespace),
    (DecideSettings, "protections"): _labels,
    (DecideSettings, "budgets"): _by(_Anonymiser.scope, _kept),
    (DecideSettings, "required_labels"): _gone,  # decisions do not use it
    (MaintenanceWindow, "days"): _kept,
    (Freeze, "reason"): _gone,
    (Freeze, "namespaces"): _each(_Anonymiser.namespace),
    (Rule, "forbid_if"): _Anonymiser.expression,
    (Rule, "message"): _gone,
}
"""How the fields are replaced that are not names, or not only; texts of all other fields are replaced by pseudonyms."""
