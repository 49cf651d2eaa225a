"""All checks of a set of manifests."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from gpuwise.lint.cost import cost
from gpuwise.lint.design import design
from gpuwise.lint.finding import Code, Finding, Severity
from gpuwise.lint.manifests import Manifest
from gpuwise.lint.policies import Surroundings, budgets, labels, marks, residency
from gpuwise.lint.subject import Subject, namespaces_of, subject_of


@dataclass(frozen=True, slots=True)
class Checked:
    """The result of all checks.

    Attributes:
        findings: by file and line.
        objects: how many objects were read.
        workloads: how many of them request GPUs.
    """

    findings: tuple[Finding, ...]
    objects: int
    workloads: int


def check(
    read: Iterable[Manifest | Finding],
    given: Surroundings,
    *,
    namespaces: Mapping[str, Mapping[str, str]],
    default: str = "default",
) -> Checked:
    """Check manifests; one odd object never stops the others.

    Args:
        read: manifests, and findings about what is none.
        given: what they are checked against.
        namespaces: labels and annotations of the fleet's namespaces; those among the manifests override them.
        default: namespace of objects that name none.
    """
    everything = list(read)
    found = [one for one in everything if isinstance(one, Finding)]
    objects = [one for one in everything if isinstance(one, Manifest)]
    known = {**namespaces, **namespaces_of(objects)}
    workloads = 0
    for manifest in objects:
        try:
            subject = subject_of(manifest, known, default=default)
            if subject is not None:
                workloads += 1
                found += _of(subject, given)
        except Exception as error:  # noqa: BLE001 - a manifest may have any content
            found.append(_unreadable(manifest, error))
    return Checked(tuple(sorted(found, key=lambda one: (one.file, one.line, one.code))), len(objects), workloads)


def _unreadable(manifest: Manifest, error: Exception) -> Finding:
    metadata = manifest.item.get("metadata")
    name = metadata.get("name") if isinstance(metadata, dict) else None
    what = f"a field of {manifest.item['kind']} {name or 'without a name'} cannot be read: {error}"
    hint = "compare it with the API reference, or kubectl apply --dry-run=server"
    return Finding(manifest.file, manifest.line(), Severity.ERROR, Code.UNREADABLE, "", what[:_MOST_TEXT], hint)


_MOST_TEXT = 400


def _of(subject: Subject, given: Surroundings) -> Iterator[Finding]:
    yield from labels(subject, given)
    yield from marks(subject, given)
    yield from residency(subject, given)
    yield from budgets(subject, given)
    yield from design(subject, given.nodes)
    yield from cost(subject, given.prices, given.nodes)
