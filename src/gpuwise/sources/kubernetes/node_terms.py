"""Conditions on a node as alternatives of which one must hold: the form of a NodeSelector of the API."""

from collections.abc import Iterator
from itertools import product

from gpuwise.model.ports import Object
from gpuwise.model.scheduling import Requirement

Terms = tuple[tuple[Requirement, ...], ...]
"""A node must meet all requirements of one of the terms."""

_MOST_TERMS = 1000
"""Most terms that a combination is computed for. A volume usually has one term; ten volumes of four terms have 4^10."""


def terms_of(selector: Object) -> Terms:
    """Return the terms of a NodeSelector; a term without requirements matches no node, as in the scheduler."""
    each = (tuple(_requirements(term)) for term in selector["nodeSelectorTerms"])
    return tuple(term for term in each if term)


def combined(*conditions: Terms) -> Terms | None:
    """Return the terms of a node that meets several conditions; None if there would be too many of them.

    Args:
        conditions: equal ones count once, such as the zone that all volumes of a pod share.
    """
    found: Terms = ((),)
    for terms in dict.fromkeys(conditions):
        if len(found) * len(terms) > max(_MOST_TERMS, len(found), len(terms)):
            return None
        found = tuple(dict.fromkeys(tuple(dict.fromkeys((*one, *other))) for one, other in product(found, terms)))
    return found


def _requirements(term: Object) -> Iterator[Requirement]:
    # The only field is metadata.name; nodes have no label of that name, so a term with a field finds no other node.
    for one in (*(term.get("matchExpressions") or ()), *(term.get("matchFields") or ())):
        yield Requirement(one["key"], one["operator"], tuple(one.get("values") or ()))
