"""Parses label selectors in kubectl's syntax (-l) into the LabelSelector of the Kubernetes API.

Grammar: Kubernetes' labels.Parse, comma-separated requirements: `key`, `!key`, `key=v`, `key==v`, `key!=v`,
`key in (a,b)`, `key notin (a,b)`. A requirement with `!=` or `notin` also matches an object without the key. The
numeric `<` and `>` are refused, because a LabelSelector does not have them.
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
    """Parse a selector string into a LabelSelector; the empty string selects everything.

    Args:
        text: for example `team in (search,nlp),tier!=dev,!legacy`.

    Raises:
        ValueError: the text is not a valid selector; the message names the invalid part.
    """
    if not text.strip():
        return {"matchExpressions": []}
    return {"matchExpressions": [_requirement(part.strip()) for part in _parts(text)]}


def _parts(text: str) -> Iterator[str]:
    """Split at the commas outside parentheses."""
    depth, start = 0, 0
    for position, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")")
        if letter == "," and depth == 0:
            yield text[start:position]
            start = position + 1
    yield text[start:]


def _requirement(part: str) -> Object:
    if "<" in part or ">" in part:
        raise ValueError(f"{part!r} compares numbers, which gpuwise does not support")
    if (match := _SET.fullmatch(part)) is not None:
        values = [_value(value.strip(), part) for value in match["values"].split(",")]
        return _expression(match["key"], "In" if match["how"] == "in" else "NotIn", part, values)
    if (match := _EQUAL.fullmatch(part)) is not None:
        return _expression(
            match["key"], "NotIn" if match["how"] == "!=" else "In", part, [_value(match["value"], part)]
        )
    if (match := _EXISTS.fullmatch(part)) is not None:
        return _expression(match["key"], "DoesNotExist" if match["not"] else "Exists", part)
    raise ValueError(f"{part!r} is not a valid requirement" if part else "a requirement is empty")


def _expression(key: str, operator: str, part: str, values: list[str] | None = None) -> Object:
    if _KEY.fullmatch(key) is None:
        raise ValueError(f"{key!r} in {part!r} is not a valid label key")
    return {"key": key, "operator": operator} | ({} if values is None else {"values": values})


def _value(value: str, part: str) -> str:
    if _VALUE.fullmatch(value) is None:
        raise ValueError(f"{value!r} in {part!r} is not a valid label value")
    return value
