"""Kubernetes objects in YAML or JSON, with the lines of their fields."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from gpuwise.lint.finding import Code, Finding, Severity
from gpuwise.model.ports import Object


@dataclass(frozen=True, slots=True)
class Manifest:
    """An object of a file.

    Attributes:
        file: its file.
        item: the object.
        node: the same with its positions.
    """

    file: str
    item: Object
    node: yaml.Node

    def line(self, *path: str | int) -> int:
        """Return the line of a field, or of the nearest field above it that exists.

        Args:
            path: keys and indices.
        """
        node, line = self.node, self.node.start_mark.line
        for step in path:
            found = _below(node, step)
            if found is None:
                break
            line, node = found
        return line + 1


def _below(node: yaml.Node, step: str | int) -> tuple[int, yaml.Node] | None:
    if isinstance(node, yaml.MappingNode):
        return next(((key.start_mark.line, value) for key, value in node.value if key.value == step), None)
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        return node.value[step].start_mark.line, node.value[step]
    return None


def manifests(file: str, text: str, *, in_folder: bool = False) -> Iterator[Manifest | Finding]:
    """Yield the objects of a file, or why a part of it is none.

    Args:
        file: its name.
        text: one or more documents of YAML or JSON.
        in_folder: whether the file was found in a folder: what is no Kubernetes object is then left out.
    """
    try:
        loader = yaml.SafeLoader(text)
    except yaml.YAMLError as error:  # a character that YAML does not allow, such as a control character
        yield _unreadable(file, 1, f"it is not YAML: {' '.join(str(error).split())[:200]}")
        return
    try:
        while loader.check_node():
            node = loader.get_node()
            assert node is not None, "check_node found one"
            if _values(node, {}) > _MOST_VALUES:
                text = "its aliases stand for too many values"
                yield _unreadable(file, node.start_mark.line + 1, text, hint="write fewer")
                return
            yield from _objects(file, node, loader.construct_document(node), in_folder=in_folder)
    except yaml.MarkedYAMLError as error:
        yield _broken(file, error, templated=in_folder and "{{" in text)
    except (yaml.YAMLError, ValueError, TypeError, RecursionError, OverflowError) as error:
        yield _unreadable(file, 1, f"it is not YAML: {' '.join(str(error).split())[:200]}")
    finally:
        loader.dispose()


_MOST_VALUES = 1_000_000
"""Far above any manifest; nine levels of nine aliases stand for 387 million."""


def _values(node: yaml.Node, known: dict[int, float]) -> float:
    """The number of values that a node stands for if its aliases are written out; infinite if it contains itself."""
    if id(node) in known:
        return known[id(node)]
    known[id(node)] = math.inf
    inner = node.value if isinstance(node, yaml.SequenceNode) else []
    if isinstance(node, yaml.MappingNode):
        inner = [one for pair in node.value for one in pair]
    known[id(node)] = 1 + sum(_values(one, known) for one in inner)
    return known[id(node)]


def _broken(file: str, error: yaml.MarkedYAMLError, *, templated: bool) -> Finding:
    mark = error.problem_mark or error.context_mark
    line = mark.line + 1 if mark is not None else 1
    hint = "render it first: helm template ... | gpuwise policy check -"
    if templated:
        return Finding(file, line, Severity.INFO, Code.TEMPLATE, "", "a template is not checked", hint)
    return _unreadable(
        file, line, f"it is not YAML: {error.problem or error.context or 'unknown'}", hint="fix this line"
    )


def _unreadable(file: str, line: int, text: str, *, hint: str = "") -> Finding:
    return Finding(file, line, Severity.ERROR, Code.UNREADABLE, "", text, hint)


def _objects(file: str, node: yaml.Node, item: Any, *, in_folder: bool) -> Iterator[Manifest | Finding]:
    if item is None:
        return
    if not isinstance(item, dict) or not isinstance(item.get("kind"), str) or "apiVersion" not in item:
        if not in_folder:
            text = "it is not a Kubernetes object: it has no apiVersion and kind"
            yield _unreadable(file, node.start_mark.line + 1, text, hint="name files with manifests only")
        return
    items = item.get("items")
    if item["kind"].endswith("List") and isinstance(items, list):
        found = _below(node, "items")
        each = found[1].value if found is not None else []
        for one, inner in zip(items, each, strict=False):
            kind = item["kind"].removesuffix("List")
            whole = {"apiVersion": item["apiVersion"], "kind": kind} | one if isinstance(one, dict) and kind else one
            yield from _objects(file, inner, whole, in_folder=in_folder)
        return
    yield Manifest(file, item, node)
