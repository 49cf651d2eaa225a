"""Parses query parameters; errors have the text of a real server."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gpuwise.emulate.causes import Cause, forbidden, too_long, unsupported, wrong
from gpuwise.emulate.status import ApiFailure, invalid

_INT64 = 2**63
_META = "meta.k8s.io"
_LONGEST_MANAGER = 128
_VALIDATIONS = ("", "Ignore", "Strict", "Warn")
_POLICIES = ("Foreground", "Background", "Orphan")


@dataclass(frozen=True, slots=True)
class WriteOptions:
    """Query parameters of a write request.

    Attributes:
        dry_run: validate the request without storing the result.
        manager: the field manager; "" to use the name of the user agent.
        validation: of unknown fields: "Ignore", "Strict" or "Warn".
        force: server-side apply takes over fields of other managers.
    """

    dry_run: bool
    manager: str
    validation: str
    force: bool


@dataclass(frozen=True, slots=True)
class ListOptions:
    """Query parameters of a list or watch.

    Attributes:
        limit: objects per page, 0 for all.
        token: continue token, "" at the start.
        version: resourceVersion, "" for the latest.
        match: resourceVersionMatch.
        labels: the label selector.
        fields: the field selector.
        timeout_s: timeout of a watch, None for the server's default.
        bookmarks: the watch requests bookmarks.
        initial: the watch requests the existing objects first.
    """

    limit: int
    token: str
    version: str
    match: str
    labels: str
    fields: str
    timeout_s: int | None
    bookmarks: bool
    initial: bool


def parse_int(text: str) -> int:
    """A whole number in a query.

    Raises:
        ApiFailure: 400, it is not a number.
    """
    if not re.fullmatch(r"[+-]?\d+", text):
        raise ApiFailure(400, f'strconv.ParseInt: parsing "{text}": invalid syntax')
    if not -_INT64 <= int(text) < _INT64:
        raise ApiFailure(400, f'strconv.ParseInt: parsing "{text}": value out of range')
    return int(text)


def parse_bool(text: str | None) -> bool:
    """A boolean in a query: everything except "false" and "0" is true."""
    return text is not None and text.lower() not in ("false", "0")


def bad_version(version: str) -> str | None:
    """The problem of a resourceVersion, None if it is valid."""
    return None if version.isdigit() else f'strconv.ParseUint: parsing "{version}": invalid syntax'


def write_options(kind: str, query: Mapping[str, Sequence[str]], *, apply: bool = False) -> WriteOptions:
    """Parse the query of a write request.

    Args:
        kind: CreateOptions, UpdateOptions or PatchOptions.
        query: all values of each parameter.
        apply: the patch is a server-side apply.

    Raises:
        ApiFailure: 422.
    """
    manager = _one(query, "fieldManager")
    causes = list(_dry_run(query.get("dryRun", ())))
    for at, letter in enumerate(manager):
        if not letter.isprintable():
            code = f"U+{ord(letter):04X}"
            shown = "".join(one if one.isprintable() else f"\\x{ord(one):02x}" for one in manager)
            why = f'Invalid value: "{shown}": invalid character {code} (at position {at})'
            causes.append(Cause("fieldManager", "FieldValueInvalid", why))
    if len(manager) > _LONGEST_MANAGER:
        causes.append(too_long("fieldManager", _LONGEST_MANAGER))
    force = parse_bool(_one(query, "force") or None)
    if force and kind == "PatchOptions" and not apply:
        causes.append(forbidden("force", "may not be specified for non-apply patch"))
    validation = _one(query, "fieldValidation")
    if validation not in _VALIDATIONS:
        causes.append(unsupported("fieldValidation", validation, _VALIDATIONS))
    if causes:
        raise invalid(kind, _META, "", causes)
    return WriteOptions(bool(query.get("dryRun")), manager, validation or "Warn", force)


def delete_options(body: Any, query: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """DeleteOptions from the body or the query.

    Raises:
        ApiFailure: 400 or 422.
    """
    options = dict(body) if isinstance(body, dict) else {}
    if options.get("kind", "DeleteOptions") != "DeleteOptions":
        version = options.get("apiVersion", "meta.k8s.io/v1")
        where = "k8s.io/apimachinery/pkg/apis/meta/internalversion/scheme/register.go:27"
        text = f'no kind "{options["kind"]}" is registered for version "{version}" in scheme "{where}"'
        raise ApiFailure(400, text)
    if "gracePeriodSeconds" in query:
        options["gracePeriodSeconds"] = parse_int(_one(query, "gracePeriodSeconds"))
    if "propagationPolicy" in query:
        options["propagationPolicy"] = _one(query, "propagationPolicy")
    if "orphanDependents" in query:
        options["orphanDependents"] = parse_bool(_one(query, "orphanDependents"))
    if "dryRun" in query:
        options["dryRun"] = list(query["dryRun"])
    policy = options.get("propagationPolicy")
    causes = list(_dry_run(options.get("dryRun") or ()))
    if policy is not None and policy not in _POLICIES:
        causes.append(unsupported("propagationPolicy", policy, (*_POLICIES, "nil")))
    elif policy is not None and options.get("orphanDependents") is not None:
        why = "orphanDependents and deletionPropagation cannot be both set"
        causes.append(wrong("propagationPolicy", policy, why))
    if causes:
        raise invalid("DeleteOptions", _META, "", causes)
    return options


def list_options(query: Mapping[str, Sequence[str]], *, watch: bool) -> ListOptions:
    """Parse the query of a list or watch.

    Raises:
        ApiFailure: 400 or 422.
    """
    limit = parse_int(_one(query, "limit")) if "limit" in query else 0
    timeout_s = parse_int(_one(query, "timeoutSeconds")) if "timeoutSeconds" in query else None
    version, match, token = _one(query, "resourceVersion"), _one(query, "resourceVersionMatch"), _one(query, "continue")
    initial = parse_bool(_one(query, "sendInitialEvents")) if "sendInitialEvents" in query else None
    causes = _watch_causes(match, initial=initial) if watch else _list_causes(version, match, token, initial=initial)
    if causes:
        raise invalid("ListOptions", _META, "", causes)
    return ListOptions(
        limit=max(limit, 0),
        token=token,
        version=version,
        match=match,
        labels=_one(query, "labelSelector"),
        fields=_one(query, "fieldSelector"),
        timeout_s=timeout_s,
        bookmarks=parse_bool(_one(query, "allowWatchBookmarks") or None),
        initial=bool(initial),
    )


def _list_causes(version: str, match: str, token: str, *, initial: bool | None) -> list[Cause]:
    spot, causes = "resourceVersionMatch", []
    if match and not version:
        causes.append(forbidden(spot, f"{spot} is forbidden unless resourceVersion is provided"))
    if match and token:
        causes.append(forbidden(spot, f"{spot} is forbidden when continue is provided"))
    if match and match not in ("Exact", "NotOlderThan"):
        causes.append(unsupported(spot, match, ("Exact", "NotOlderThan", "")))
    if match == "Exact" and version == "0":
        causes.append(forbidden(spot, f'{spot} "exact" is forbidden for resourceVersion "0"'))
    if initial is not None:
        causes.append(forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list"))
    return causes


def _watch_causes(match: str, *, initial: bool | None) -> list[Cause]:
    spot = "resourceVersionMatch"
    if initial is None and match:
        return [forbidden(spot, f"{spot} is forbidden for watch unless sendInitialEvents is provided")]
    if initial is not None and match != "NotOlderThan":
        return [forbidden(spot, f"sendInitialEvents requires setting {spot} to NotOlderThan")]
    return []


def _dry_run(values: Sequence[str]) -> list[Cause]:
    return [] if set(values) <= {"All"} else [unsupported("dryRun", list(values), ("All",))]


def _one(query: Mapping[str, Sequence[str]], name: str) -> str:
    values = query.get(name) or ("",)
    return values[0]
