"""Access reviews and token reviews; none of them is stored."""

from collections.abc import Callable
from typing import Any

from gpuwise.emulate.access import AUTHENTICATED, MASTERS, READS, User, allowed, by_name
from gpuwise.emulate.bodies import Body, read
from gpuwise.emulate.causes import Cause, wrong
from gpuwise.emulate.intake import read_object
from gpuwise.emulate.registry import Registry
from gpuwise.emulate.resources import Resource
from gpuwise.emulate.status import ApiFailure, Object, invalid, not_emulated
from gpuwise.emulate.target import RequestInfo

_AUTHORIZATION, _AUTHENTICATION = "authorization.k8s.io", "authentication.k8s.io"
_KINDS = {
    "selfsubjectaccessreviews": (_AUTHORIZATION, "SelfSubjectAccessReview"),
    "subjectaccessreviews": (_AUTHORIZATION, "SubjectAccessReview"),
    "selfsubjectrulesreviews": (_AUTHORIZATION, "SelfSubjectRulesReview"),
    "selfsubjectreviews": (_AUTHENTICATION, "SelfSubjectReview"),
    "tokenreviews": (_AUTHENTICATION, "TokenReview"),
}
_BASIC = (
    {
        "verbs": ["create"],
        "apiGroups": [_AUTHORIZATION],
        "resources": ["selfsubjectaccessreviews", "selfsubjectrulesreviews"],
    },
    {"verbs": ["create"], "apiGroups": [_AUTHENTICATION], "resources": ["selfsubjectreviews"]},
)
_PATHS = (
    "/api /api/* /apis /apis/* /healthz /livez /openapi /openapi/* /readyz /version /version/",
    "/healthz /livez /readyz /version /version/",
    "/.well-known /.well-known/*",
)
AUDIENCE = "https://kubernetes.default.svc"


class Reviews:
    """Answers reviews for a set of users.

    Args:
        registry: the registered resources.
        users: by bearer token.
        now: returns the time in the API's format.
    """

    def __init__(self, registry: Registry, users: dict[str, User], now: Callable[[], str]) -> None:
        self._now = now
        self._registry = registry
        self._users = users

    def answer(self, asked: RequestInfo, user: User, raw: bytes, media: str) -> Object | None:
        """The response to a POST of a review, None if it is not a review.

        Raises:
            ApiFailure: 400 or 422.
        """
        group, kind = _KINDS.get(asked.plural, ("", ""))
        if asked.group != group or not kind or asked.name:
            return None
        resource = Resource(
            group, "v1", asked.plural, kind, namespaced=False, schema=f"{group.partition('.')[0]}.v1.{kind}"
        )
        body = read(raw, media, kind)
        review = read_object(self._registry, resource, Body(body.value, ()), validation="Ignore", warnings=[])
        answers: dict[str, Callable[[Object, User], Object]] = {
            "SelfSubjectAccessReview": self._self_access,
            "SubjectAccessReview": self._access,
            "SelfSubjectRulesReview": self._rules,
            "SelfSubjectReview": self._self,
            "TokenReview": self._token,
        }
        if kind == "TokenReview" and not review["spec"].get("token"):
            raise ApiFailure(400, "token is required for TokenReview in authentication")
        status = answers[kind](review, user)
        metadata = {"creationTimestamp": self._now()} if kind == "SelfSubjectReview" else review["metadata"]
        head = {"kind": kind, "apiVersion": f"{group}/v1", "metadata": metadata}
        spec = {} if kind == "SelfSubjectRulesReview" else review.get("spec", {})
        shown = head | ({} if kind == "SelfSubjectReview" else {"spec": spec})
        return shown | {"status": status}

    def _self_access(self, review: Object, user: User) -> Object:
        return _decide(_asked(review["spec"]), user)

    def _access(self, review: Object, _: User) -> Object:
        spec = review["spec"]
        asked = _asked(spec)
        if not spec.get("user") and not spec.get("groups"):
            raise _invalid(wrong("spec.user", "", "at least one of user or group must be specified"))
        known = by_name(self._users.values(), spec.get("user", ""))
        unknown = User(spec.get("user", ""), tuple(spec.get("groups") or ()))
        return _decide(asked, known or unknown)

    def _rules(self, review: Object, user: User) -> Object:
        if not review["spec"].get("namespace"):
            raise ApiFailure(400, "no namespace on request")
        if MASTERS in user.groups:
            raise not_emulated("the rules of system:masters")
        rules: list[Object] = [dict(rule) for rule in _BASIC] if AUTHENTICATED in user.groups else []
        if user.verbs:
            verbs = [verb for verb in ("get", "list", "watch") if verb in user.verbs] + sorted(user.verbs - READS)
            rules.append({"verbs": verbs, "apiGroups": ["*"], "resources": ["*"]})
        paths = [{"verbs": ["get"], "nonResourceURLs": text.split()} for text in _PATHS]
        return {"resourceRules": rules, "nonResourceRules": paths, "incomplete": False}

    def _self(self, _: Object, user: User) -> Object:
        return {"userInfo": _info(user)}

    def _token(self, review: Object, _: User) -> Object:
        user = self._users.get(review["spec"]["token"])
        audiences = review["spec"].get("audiences") or [AUDIENCE]
        if user is None or AUDIENCE not in audiences:
            return {"user": {}, "error": "invalid bearer token"}
        return {"authenticated": True, "user": _info(user), "audiences": [AUDIENCE]}


def _info(user: User) -> Object:
    found: Object = {"username": user.name}
    return found | ({"uid": user.uid} if user.uid else {}) | {"groups": list(user.groups)}


def _asked(spec: Object) -> RequestInfo:
    attributes, path = spec.get("resourceAttributes"), spec.get("nonResourceAttributes")
    if attributes is not None and path is not None:
        shown = {"Path": path.get("path", ""), "Verb": path.get("verb", "")}
        why = "cannot be specified in combination with resourceAttributes"
        raise _invalid(wrong("spec.nonResourceAttributes", shown, why))
    if path is not None:
        return RequestInfo(path.get("verb", ""), path.get("path", ""))
    if attributes is None:
        why = "exactly one of nonResourceAttributes or resourceAttributes must be specified"
        raise _invalid(wrong("spec.resourceAttributes", None, why))
    fields: dict[str, Any] = {
        "group": attributes.get("group", ""),
        "version": "v1",
        "plural": attributes.get("resource", ""),
        "namespace": attributes.get("namespace", ""),
        "name": attributes.get("name", ""),
        "part": attributes.get("subresource", ""),
    }
    return RequestInfo(attributes.get("verb", ""), "", **fields)


def _decide(asked: RequestInfo, user: User) -> Object:
    reason = allowed(user, asked)
    found: Object = {"allowed": reason is not None}
    return found | ({"reason": reason} if reason else {})


def _invalid(cause: Cause) -> ApiFailure:
    return invalid("", _AUTHORIZATION, "", [cause])
