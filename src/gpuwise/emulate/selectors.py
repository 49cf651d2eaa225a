"""Label and field selectors, as query strings and as objects."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from gpuwise.emulate.resources import PODS, Resource
from gpuwise.emulate.status import ApiFailure, Object

Predicate = Callable[[Object], bool]

_REQUIREMENT = re.compile(
    r"""\s*(?:
        (?P<absent>!)\s*(?P<no>[\w./-]+)
      | (?P<key>[\w./-]+)\s*(?:
            (?P<eq>==|=|!=)\s*(?P<value>[\w.-]*)
          | \s(?P<set>in|notin)\s*\((?P<values>[^()]*)\)
        )?
    )\s*(?:,|$)""",
    re.VERBOSE,
)


def _requirement(match: re.Match[str]) -> Callable[[Mapping[str, str]], bool]:
    key = match["key"] or match["no"]
    if match["absent"]:
        return lambda labels: key not in labels
    if match["eq"]:
        value, equal = match["value"], match["eq"] != "!="
        return lambda labels: (labels.get(key) == value) == equal
    if match["set"]:
        values, within = {part.strip() for part in match["values"].split(",")}, match["set"] == "in"
        return lambda labels: (labels.get(key) in values) == within
    return lambda labels: key in labels


def label_predicate(selector: str) -> Predicate:
    """Read a labelSelector query; the empty one matches everything.

    Raises:
        ApiFailure: 400, it cannot be parsed.
    """
    requirements, at = [], 0
    while at < len(selector):
        match = _REQUIREMENT.match(selector, at)
        if match is None:
            raise ApiFailure(400, f"unable to parse requirement: {selector[at:]!r}")
        requirements.append(_requirement(match))
        at = match.end()
    return lambda item: all(holds(labels_of(item)) for holds in requirements)


def labels_of(item: Object) -> dict[str, str]:
    """An object's labels."""
    return item["metadata"].get("labels") or {}


def selects(selector: Object | None, labels: Mapping[str, str]) -> bool:
    """Whether a LabelSelector object matches; None matches nothing, {} everything."""
    if selector is None:
        return False
    wanted = (selector.get("matchLabels") or {}).items()
    if any(labels.get(key) != value for key, value in wanted):
        return False
    return all(_expression(expression, labels) for expression in selector.get("matchExpressions") or [])


def _expression(expression: Object, labels: Mapping[str, str]) -> bool:
    value, values = labels.get(expression["key"]), expression.get("values") or []
    match expression["operator"]:
        case "In":
            return value in values
        case "NotIn":
            return value not in values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
    raise ApiFailure(422, f"unknown label selector operator {expression['operator']!r}")


# Field labels that a real server indexes, with where they are and what an absent field reads as.
_FIELDS: dict[str, tuple[tuple[str, str], str]] = {
    "metadata.name": (("metadata", "name"), ""),
    "metadata.namespace": (("metadata", "namespace"), ""),
}
_POD_FIELDS: dict[str, tuple[tuple[str, str], str]] = _FIELDS | {
    "spec.nodeName": (("spec", "nodeName"), ""),
    "spec.restartPolicy": (("spec", "restartPolicy"), "Always"),
    "spec.schedulerName": (("spec", "schedulerName"), "default-scheduler"),
    "status.phase": (("status", "phase"), ""),
}


def field_predicate(selector: str, resource: Resource) -> Predicate:
    """Read a fieldSelector query.

    Raises:
        ApiFailure: 400, it cannot be parsed or names a field that the kind does not index.
    """
    fields = _POD_FIELDS if resource is PODS else _FIELDS
    tests: list[Predicate] = []
    for part in filter(None, selector.split(",")):
        match = re.fullmatch(r"([\w.]+)(==|=|!=)(.*)", part)
        if match is None:
            raise ApiFailure(400, f"invalid field selector: {part!r}")
        if match[1] not in fields:
            raise ApiFailure(400, f'field label not supported: "{match[1]}"')
        tests.append(_field_test(*fields[match[1]], match[3], equal=match[2] != "!="))
    return lambda item: all(test(item) for test in tests)


def _field_test(path: tuple[str, str], default: str, value: str, *, equal: bool) -> Predicate:
    def test(item: Object) -> bool:
        part: dict[str, Any] = item.get(path[0]) or {}
        same: bool = part.get(path[1], default) == value
        return same == equal

    return test
