"""Pod Security admission: the levels baseline and restricted, as set by a namespace's labels."""

from collections.abc import Callable, Iterator

from gpuwise.emulate.resources import NAMESPACES, PODS
from gpuwise.emulate.selectors import labels_of
from gpuwise.emulate.status import Object, refused
from gpuwise.emulate.store import ObjectStore

_LABEL = "pod-security.kubernetes.io/"
_CAPABILITIES = frozenset(
    """
    AUDIT_WRITE CHOWN DAC_OVERRIDE FOWNER FSETID KILL MKNOD NET_BIND_SERVICE SETFCAP SETGID SETPCAP SETUID
    SYS_CHROOT
    """.split()  # noqa: SIM905
)


def check(store: ObjectStore, pod: Object, warnings: list[str]) -> None:
    """Check a pod against the enforced level of its namespace, and warn by its warn level.

    Raises:
        ApiFailure: 403.
    """
    labels = _labels(store, pod["metadata"]["namespace"])
    level, version = labels.get(f"{_LABEL}enforce", ""), labels.get(f"{_LABEL}enforce-version", "latest")
    problems = list(violations(level, pod["spec"]))
    if problems:
        text = f'violates PodSecurity "{level}:{version}": {", ".join(problems)}'
        raise refused(PODS, pod["metadata"]["name"], text)
    warn(store, pod["metadata"]["namespace"], pod["spec"], warnings)


def warn(store: ObjectStore, namespace: str, spec: Object, warnings: list[str]) -> None:
    """Warn about a pod or template that the warn level would reject."""
    labels = _labels(store, namespace)
    level, version = labels.get(f"{_LABEL}warn", ""), labels.get(f"{_LABEL}warn-version", "latest")
    problems = list(violations(level, spec))
    if problems:
        warnings.append(f'would violate PodSecurity "{level}:{version}": {", ".join(problems)}')


def _labels(store: ObjectStore, namespace: str) -> dict[str, str]:
    found = store.peek(NAMESPACES, "", namespace)
    return labels_of(found) if found else {}


def violations(level: str, spec: Object) -> Iterator[str]:
    """The violations of a level by a pod's spec; "" and privileged allow everything."""
    if level == "restricted":
        yield from _escalation(spec)
    if level in ("baseline", "restricted"):
        yield from _baseline(spec)
    if level == "restricted":
        yield from _restricted(spec)


def _baseline(spec: Object) -> Iterator[str]:
    shared = [f"{field}=true" for field in ("hostNetwork", "hostPID", "hostIPC") if spec.get(field)]
    if shared:
        yield f"host namespaces ({', '.join(shared)})"
    privileged = _violating(spec, lambda one: (one.get("securityContext") or {}).get("privileged") is True)
    if privileged:
        yield f"privileged ({privileged} must not set securityContext.privileged=true)"
    added = _violating(spec, lambda one: bool(set(_capabilities(one).get("add") or []) - _CAPABILITIES))
    if added:
        yield f"non-default capabilities ({added} must not add other capabilities)"
    paths = [f'"{volume["name"]}"' for volume in spec.get("volumes") or [] if "hostPath" in volume]
    if paths:
        yield f"hostPath volumes ({_plural('volume', paths)})"
    ports = _violating(spec, lambda one: any(port.get("hostPort") for port in one.get("ports") or []))
    if ports:
        yield f"hostPort ({ports} uses hostPort)"


def _escalation(spec: Object) -> Iterator[str]:
    found = _violating(
        spec, lambda one: (one.get("securityContext") or {}).get("allowPrivilegeEscalation") is not False
    )
    if found:
        yield f"allowPrivilegeEscalation != false ({found} must set securityContext.allowPrivilegeEscalation=false)"


def _restricted(spec: Object) -> Iterator[str]:
    found = _violating(spec, lambda one: "ALL" not in (_capabilities(one).get("drop") or []))
    if found:
        yield f'unrestricted capabilities ({found} must set securityContext.capabilities.drop=["ALL"])'
    pod = spec.get("securityContext") or {}
    if pod.get("runAsNonRoot") is not True:
        found = _violating(spec, lambda one: (one.get("securityContext") or {}).get("runAsNonRoot") is not True)
        if found:
            yield f"runAsNonRoot != true (pod or {found} must set securityContext.runAsNonRoot=true)"
    allowed = ("RuntimeDefault", "Localhost")
    if (pod.get("seccompProfile") or {}).get("type") not in allowed:
        found = _violating(spec, lambda one: _seccomp(one) not in allowed)
        if found:
            wanted = 'securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost"'
            yield f"seccompProfile (pod or {found} must set {wanted})"


def _seccomp(container: Object) -> str:
    return str(((container.get("securityContext") or {}).get("seccompProfile") or {}).get("type", ""))


def _capabilities(container: Object) -> Object:
    found: Object = (container.get("securityContext") or {}).get("capabilities") or {}
    return found


def _violating(spec: Object, bad: Callable[[Object], bool]) -> str:
    every = [*(spec.get("initContainers") or []), *(spec.get("containers") or [])]
    names = [f'"{one["name"]}"' for one in every if bad(one)]
    return _plural("container", names) if names else ""


def _plural(word: str, names: list[str]) -> str:
    return f"{word}{'s' if len(names) > 1 else ''} {', '.join(names)}"
