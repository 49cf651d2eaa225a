"""Label and field selectors, as query strings and as objects."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from gpuwise.emulate import resources
from gpuwise.emulate.names import LABEL_VALUE, key_problem, value_problem
from gpuwise.emulate.resources import Resource
from gpuwise.emulate.status import ApiFailure, Object

Predicate = Callable[[Object], bool]
Requirement = Callable[[Mapping[str, str]], bool]

_TOKEN = re.compile(r"\s*(==|=|!=|!|,|\(|\)|>|<|[^\s=!,()<>]+)")
_SYMBOLS = frozenset({"==", "=", "!=", "!", ",", "(", ")", ">", "<"})


class _Reader:
    """The tokens of a label selector, in order."""

    def __init__(self, text: str) -> None:
        self._tokens = [match[1] for match in _TOKEN.finditer(text)] + [""]
        self._at = 0

    def peek(self) -> str:
        return self._tokens[self._at]

    def next(self) -> str:
        token = self._tokens[self._at]
        self._at = min(self._at + 1, len(self._tokens) - 1)
        return token


def label_predicate(selector: str) -> Predicate:
    """Parse a labelSelector query; an empty one matches everything.

    Raises:
        ApiFailure: 400, it cannot be parsed.
    """
    reader, requirements = _Reader(selector), []
    while reader.peek():
        requirements.append(_requirement(reader))
        after = reader.next()
        if after == "," and not _is_key(reader.peek()) and reader.peek() != "!":
            raise ApiFailure(400, f"found '{reader.peek()}', expected: identifier after ','")
        if after not in ("", ","):
            raise ApiFailure(400, f"found '{after}', expected: ',' or 'end of string'")
    return lambda item: all(holds(labels_of(item)) for holds in requirements)


def _is_key(token: str) -> bool:
    return bool(token) and token not in _SYMBOLS


def _requirement(reader: _Reader) -> Requirement:
    if reader.peek() == "!":
        reader.next()
        key = _key(reader.next())
        return lambda labels: key not in labels
    if not _is_key(reader.peek()):
        raise ApiFailure(400, f"found '{reader.peek()}', expected: !, identifier, or 'end of string'")
    key = _key(reader.next())
    if reader.peek() in ("", ","):
        return lambda labels: key in labels
    operator = reader.next()
    if operator in ("in", "notin"):
        values = _set(reader, key)
        return lambda labels: (labels.get(key) in values) == (operator == "in")
    if operator in ("=", "==", "!="):
        value = _exact(reader, key)
        return lambda labels: (labels.get(key) == value) == (operator != "!=")
    if operator in (">", "<"):
        return _compare(key, operator, reader.next())
    raise ApiFailure(400, f"unable to parse requirement: found '{operator}', expected: in, notin, =, ==, !=, gt, lt")


def _key(key: str) -> str:
    problem = key_problem(key)
    if problem:
        raise ApiFailure(400, f'unable to parse requirement: <nil>: Invalid value: "{key}": {problem}')
    return key


def _exact(reader: _Reader, key: str) -> str:
    if reader.peek() in ("", ","):
        return ""
    value = reader.next()
    if value in _SYMBOLS:
        raise ApiFailure(400, f"unable to parse requirement: found '{value}', expected: identifier")
    return _value(key, value, 0)


def _value(key: str, value: str, at: int) -> str:
    problem = value_problem(value)
    if problem:
        text = f'values[{at}][{key}]: Invalid value: "{value}": {problem}'
        raise ApiFailure(400, f"unable to parse requirement: {text}")
    return value


def _set(reader: _Reader, key: str) -> set[str]:
    opening = reader.next()
    if opening != "(":
        raise ApiFailure(400, f"unable to parse requirement: found '{opening}' expected: '('")
    values: set[str] = set()
    if reader.peek() == ")":
        reader.next()
        return {""}
    while True:
        value = reader.next()
        if value == ",":
            values.add("")
            continue
        values.add(_value(key, value, len(values)))
        closing = reader.next()
        if closing == ")":
            return values
        if closing != ",":
            raise ApiFailure(400, f"unable to parse requirement: found '{closing}', expected: ',' or ')'")


def _compare(key: str, operator: str, value: str) -> Requirement:
    if not re.fullmatch(r"-?\d+", value):
        why = f"values[0]: Invalid value: \"{value}\": for 'Gt', 'Lt' operators, the value must be an integer"
        raise ApiFailure(400, f"unable to parse requirement: {why}")

    def holds(labels: Mapping[str, str]) -> bool:
        have = labels.get(key, "")
        if not re.fullmatch(r"-?\d+", have):
            return False
        return int(have) > int(value) if operator == ">" else int(have) < int(value)

    return holds


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


# Field labels that a real server supports besides metadata.name and metadata.namespace, with their path and the value
# of an absent field. Source: pkg/apis/*/v1/conversion.go and the strategies' ToSelectableFields.
_FIELDS: dict[tuple[str, str, str], dict[str, tuple[str, str]]] = {
    resources.PODS.place: {
        "spec.nodeName": ("spec.nodeName", ""),
        "spec.restartPolicy": ("spec.restartPolicy", ""),
        "spec.schedulerName": ("spec.schedulerName", ""),
        "spec.serviceAccountName": ("spec.serviceAccountName", ""),
        "spec.hostNetwork": ("spec.hostNetwork", "false"),
        "status.phase": ("status.phase", ""),
        "status.podIP": ("status.podIP", ""),
        "status.podIPs": ("status.podIP", ""),
        "status.nominatedNodeName": ("status.nominatedNodeName", ""),
    },
    resources.NODES.place: {"spec.unschedulable": ("spec.unschedulable", "false")},
    resources.NAMESPACES.place: {"status.phase": ("status.phase", "")},
    resources.JOBS.place: {"status.successful": ("status.succeeded", "0")},
    resources.RESOURCESLICES.place: {
        "spec.nodeName": ("spec.nodeName", ""),
        "spec.driver": ("spec.driver", ""),
    },
    resources.EVENTS.place: {
        "reason": ("reason", ""),
        "type": ("type", ""),
        "reportingController": ("reportingController", ""),
        **{
            f"regarding.{name}": (f"regarding.{name}", "")
            for name in ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")
        },
    },
    resources.CORE_EVENTS.place: {
        "reason": ("reason", ""),
        "type": ("type", ""),
        "source": ("reportingController", ""),
        "reportingComponent": ("reportingController", ""),
        **{
            f"involvedObject.{name}": (f"regarding.{name}", "")
            for name in ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")
        },
    },
}
_OWN_MESSAGE = frozenset(
    {resources.PODS.place, resources.NODES.place, resources.NAMESPACES.place, resources.JOBS.place}
)
"""Kinds with the error "field label not supported"; the error of the others lists the two labels of every kind."""


def field_predicate(selector: str, resource: Resource) -> Predicate:
    """Parse a fieldSelector query.

    Raises:
        ApiFailure: 400, it cannot be parsed or uses a field that the kind does not support.
    """
    known = {"metadata.name": ("metadata.name", ""), "metadata.namespace": ("metadata.namespace", "")}
    known |= _FIELDS.get(resource.place, {})
    tests: list[Predicate] = []
    for part in filter(None, selector.split(",")):
        match = re.fullmatch(r"([^=!]+)(==|=|!=)(.*)", part)
        if match is None:
            raise ApiFailure(400, f"invalid selector: '{selector}'; can't understand '{part}'")
        if match[1] not in known:
            raise ApiFailure(400, _unknown_field(resource, match[1]))
        path, default = known[match[1]]
        tests.append(_field_test(path, default, match[3], equal=match[2] != "!="))
    return lambda item: all(test(item) for test in tests)


def _unknown_field(resource: Resource, label: str) -> str:
    if not resource.builtin or resource.place in _OWN_MESSAGE:
        return f"field label not supported: {label}"
    return f'"{label}" is not a known field selector: only "metadata.name", "metadata.namespace"'


def _field_test(path: str, default: str, value: str, *, equal: bool) -> Predicate:
    steps = path.split(".")

    def test(item: Object) -> bool:
        part: Any = item
        for step in steps:
            part = part.get(step) if isinstance(part, dict) else None
        text = default if part is None else str(part).lower() if isinstance(part, bool) else str(part)
        return (text == value) == equal

    return test


def asked_name(selector: str) -> str:
    """The single name that a field selector requires, "" for none: authorization uses it as the object's name."""
    match = re.fullmatch(r"metadata\.name==?([^,=!]+)", selector)
    return match[1] if match and LABEL_VALUE.fullmatch(match[1]) else ""
