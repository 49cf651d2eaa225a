"""Label selectors as people type them (kubectl's -l), turned into the LabelSelector that objects have.

Grammar: Kubernetes' labels.Parse, comma-separated requirements: `key`, `!key`, `key=v`, `key==v`, `key!=v`,
`key in (a,b)`, `key notin (a,b)`. A requirement with `!=` or `notin` also matches an object without the key. Its
numeric `<` and `>` are refused: a LabelSelector has none.
"""

import re
from collections.abc import Iterator

from gpuwise.model.ports import Object

# A label key is an optional DNS prefix and a name; a value may be empty (Kubernetes' "Labels and Selectors").
_NAME = r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?"
_KEY = re.compile(rf"(?:[a-z0-9](?:[a-z0-9.-]{{0,251}}[a-z0-9])?/)?{_NAME}")
_VALUE = re.compile(rf"(?:{_NAME})?")
_SET = re.compile(r"(?P<key>\S+)\s+(?P<how>in|notin)\s*\((?P<values>[^()]*)\)")
_EQUAL = re.compile(r"(?P<key>[^\s=!]+)\s*(?P<how>==|=|!=)\s*(?P<value>[^\s=!]*)")
_EXISTS = re.compile(r"(?P<not>!?)\s*(?P<key>[^\s=!()]+)")


def parse_selector(text: str) -> Object:
    """The LabelSelector that a selector string means; the empty string selects everything.

    Args:
        text: as `team in (search,nlp),tier!=dev,!legacy`.

    Raises:
        ValueError: it is no selector; the message names the part that cannot be read.
    """
    if not text.strip():
        return {"matchExpressions": []}
    return {"matchExpressions": [_requirement(part.strip()) for part in _parts(text)]}


def _parts(text: str) -> Iterator[str]:
    """Cut at the commas outside of brackets."""
    depth, begun = 0, 0
    for at, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")")
        if letter == "," and depth == 0:
            yield text[begun:at]
            begun = at + 1
    yield text[begun:]


def _requirement(part: str) -> Object:
    if "<" in part or ">" in part:
        raise ValueError(f"{part!r} compares numbers, which gpuwise does not")
    if (found := _SET.fullmatch(part)) is not None:
        values = [_value(value.strip(), part) for value in found["values"].split(",")]
        return _expression(found["key"], "In" if found["how"] == "in" else "NotIn", part, values)
    if (found := _EQUAL.fullmatch(part)) is not None:
        return _expression(
            found["key"], "NotIn" if found["how"] == "!=" else "In", part, [_value(found["value"], part)]
        )
    if (found := _EXISTS.fullmatch(part)) is not None:
        return _expression(found["key"], "DoesNotExist" if found["not"] else "Exists", part)
    raise ValueError(f"{part!r} is no requirement" if part else "a requirement is empty")


def _expression(key: str, operator: str, part: str, values: list[str] | None = None) -> Object:
    if _KEY.fullmatch(key) is None:
        raise ValueError(f"{key!r} in {part!r} is no label key")
    return {"key": key, "operator": operator} | ({} if values is None else {"values": values})


def _value(value: str, part: str) -> str:
    if _VALUE.fullmatch(value) is None:
        raise ValueError(f"{value!r} in {part!r} is no label value")
    return value
