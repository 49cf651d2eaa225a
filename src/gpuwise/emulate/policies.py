"""Admission policies in CEL, and webhooks without a backend."""

import json
import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from gpuwise.emulate.expressions import Failed, evaluate, evaluate_object
from gpuwise.emulate.patch import merge_patch
from gpuwise.emulate.resources import (
    MUTATIONBINDINGS,
    MUTATIONS,
    NAMESPACES,
    POLICIES,
    POLICYBINDINGS,
    WEBHOOKS,
    Resource,
)
from gpuwise.emulate.selectors import labels_of, selects
from gpuwise.emulate.status import ApiFailure, Object, details_of, not_emulated
from gpuwise.emulate.store import ObjectStore

_CODES = {"Unauthorized": 401, "Forbidden": 403, "Invalid": 422, "RequestEntityTooLarge": 413}


def mutate(
    store: ObjectStore, resource: Resource, operation: str, subresource: str, old: Object | None, new: Object
) -> Object:
    """The object after the mutating policies.

    Raises:
        ApiFailure: 501 for a policy that is not emulated.
    """
    for policy in store.all(MUTATIONS):
        name = policy["metadata"]["name"]
        bound = [one for one in store.all(MUTATIONBINDINGS) if one["spec"].get("policyName") == name]
        if not bound or not _matches(
            store, policy["spec"].get("matchConstraints"), resource, operation, subresource, new
        ):
            continue
        variables = _variables(old, new)
        if not all(evaluate(one["expression"], variables) for one in policy["spec"].get("matchConditions") or []):
            continue
        for change in policy["spec"].get("mutations") or []:
            if change.get("patchType") != "ApplyConfiguration":
                raise not_emulated(f"the mutation {json.dumps(change)} of the MutatingAdmissionPolicy {name}")
            patch = evaluate_object(change["applyConfiguration"]["expression"], variables)
            new = merge_patch(new, patch)
    return new


def validate(
    store: ObjectStore,
    resource: Resource,
    operation: str,
    subresource: str,
    old: Object | None,
    new: Object,
    warnings: list[str],
) -> None:
    """Check a write against the validating policies and webhooks.

    Raises:
        ApiFailure: 422 or 403 by a policy, 500 for a webhook that cannot be reached, 501 for what is not emulated.
    """
    for policy in store.all(POLICIES):
        name = policy["metadata"]["name"]
        bound = [one for one in store.all(POLICYBINDINGS) if one["spec"].get("policyName") == name]
        if not bound or not _matches(
            store, policy["spec"].get("matchConstraints"), resource, operation, subresource, new
        ):
            continue
        if policy["spec"].get("paramKind") or policy["spec"].get("variables"):
            raise not_emulated(f"parameters and variables of the ValidatingAdmissionPolicy {name}")
        failures = list(_failures(policy["spec"], old, new))
        for binding in bound:
            for why, reason in failures:
                _act(resource, new, policy, binding, why, reason, warnings)
    _call_webhooks(store, resource, operation, subresource, new)


def _act(
    resource: Resource, new: Object, policy: Object, binding: Object, why: str, reason: str, warnings: list[str]
) -> None:
    by = f"ValidatingAdmissionPolicy '{policy['metadata']['name']}' with binding '{binding['metadata']['name']}'"
    actions = binding["spec"].get("validationActions") or []
    if "Warn" in actions:
        warnings.append(f"Validation failed for {by}: {why}")
    if "Deny" not in actions:
        return
    name, text = new["metadata"]["name"], f"{by} denied request: {why}"
    raise ApiFailure(
        _CODES[reason],
        f'{resource.label} "{name}" is forbidden: {text}',
        reason=reason,
        details=details_of(name, resource.group, resource.plural) | {"causes": [{"message": text}]},
    )


def _failures(spec: Object, old: Object | None, new: Object) -> Iterator[tuple[str, str]]:
    variables = _variables(old, new)
    for validation in spec.get("validations") or []:
        source, reason = str(validation["expression"]).strip(), validation.get("reason", "Invalid")
        if validation.get("messageExpression"):
            raise not_emulated("messageExpression of a ValidatingAdmissionPolicy")
        try:
            result = evaluate(source, variables)
        except Failed as error:
            if spec.get("failurePolicy", "Fail") == "Fail":
                yield f"expression '{source}' resulted in error: {error}", "Invalid"
            continue
        if result is not True:
            yield validation.get("message") or f"failed expression: {source}", reason


def _variables(old: Object | None, new: Object) -> dict[str, Any]:
    return {"object": new, "oldObject": old}


def _matches(
    store: ObjectStore, rules: Object | None, resource: Resource, operation: str, subresource: str, new: Object
) -> bool:
    if rules is None:
        return False
    path = f"{resource.plural}/{subresource}" if subresource else resource.plural
    fits = any(
        _in(resource.group, rule.get("apiGroups"))
        and _in(resource.version, rule.get("apiVersions"))
        and _in(operation, rule.get("operations"))
        and (_in(path, rule.get("resources")) if not subresource else path in (rule.get("resources") or ()))
        for rule in rules.get("resourceRules") or rules.get("rules") or []
    )
    if not fits:
        return False
    namespace = store.peek(NAMESPACES, "", new["metadata"].get("namespace", ""))
    wanted = rules.get("namespaceSelector")
    if wanted and namespace is not None and not selects(wanted, labels_of(namespace)):
        return False
    return not rules.get("objectSelector") or selects(rules["objectSelector"], labels_of(new))


def _in(value: str, choices: list[str] | None) -> bool:
    return value in (choices or ()) or "*" in (choices or ())


def _call_webhooks(store: ObjectStore, resource: Resource, operation: str, subresource: str, new: Object) -> None:
    for configuration in store.all(WEBHOOKS):
        for hook in configuration.get("webhooks") or []:
            if not _matches(store, hook, resource, operation, subresource, new):
                continue
            problem = _unreachable(hook)
            if problem and hook.get("failurePolicy", "Fail") == "Fail":
                text = f'failed calling webhook "{hook["name"]}": failed to call webhook: {problem}'
                details = {"causes": [{"message": text}]}
                raise ApiFailure(500, f"Internal error occurred: {text}", reason="InternalError", details=details)


def _unreachable(hook: Object) -> str:
    url, timeout_s = str(hook["clientConfig"].get("url", "")), hook.get("timeoutSeconds", 10)
    parts = urlsplit(url)
    if not parts.hostname:
        raise not_emulated(f"the webhook {hook['name']} behind a Service")
    address = parts.hostname, parts.port or 443
    try:
        socket.create_connection(address, timeout=float(timeout_s)).close()
    except ConnectionRefusedError:
        where = f"dial tcp {address[0]}:{address[1]}: connect: connection refused"
        return f'Post "{url}?timeout={timeout_s}s": {where}'
    except OSError as error:
        return f'Post "{url}?timeout={timeout_s}s": {error}'
    raise not_emulated(f"a call of the webhook {hook['name']}")
