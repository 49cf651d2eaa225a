"""Resource quantities such as "100m", "2Gi", "4": their values, and the server's canonical form."""

import re
from fractions import Fraction
from functools import lru_cache
from math import ceil

# Suffixes: apimachinery's resource.Quantity.
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = {"Ki": 1, "Mi": 2, "Gi": 3, "Ti": 4, "Pi": 5, "Ei": 6}
_SCALE = {suffix: Fraction(10) ** power for suffix, power in _DECIMAL.items()}
_SCALE |= {suffix: Fraction(1024) ** power for suffix, power in _BINARY.items()}
_QUANTITY = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+))(?:[eE]([+-]?\d{1,2})|([numkMGTPE]|[KMGTPE]i)?)")
MALFORMED = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"


@lru_cache(maxsize=4096)
def quantity(text: str | float) -> Fraction:
    """The value of a quantity.

    Raises:
        ValueError: it is not a quantity.
    """
    match = _match(text)
    exponent = Fraction(10) ** int(match[2]) if match[2] else Fraction(1)
    return Fraction(match[1]) * exponent * _SCALE[match[3] or ""]


@lru_cache(maxsize=4096)
def canonical(text: str | float | None, *, milli: bool = False) -> str:
    """A quantity in the server's form: "3000" becomes "3k", 1.5 becomes "1500m", "1024Mi" becomes "1Gi".

    Args:
        text: as sent; None means 0.
        milli: round up to thousandths, as the server does in a list of resources.

    Raises:
        ValueError: it is not a quantity.
    """
    if text is None:
        return "0"
    match, value = _match(text), quantity(text)
    if milli:
        value = Fraction(ceil(value * 1000), 1000)
    written = str(text).strip()
    # The server keeps these two notations as sent (recorded: quantities/d-gpu-plus, d-memory-1e9).
    if written.startswith("+") or match[2]:
        return written
    return _binary(value) if (match[3] or "").endswith("i") else decimal(value)


def decimal(value: Fraction) -> str:
    """A number with the largest decimal suffix that keeps it whole."""
    for suffix, power in sorted(_DECIMAL.items(), key=lambda entry: -entry[1]):
        scaled = value / Fraction(10) ** power
        if scaled.denominator == 1 and scaled != 0:
            return f"{scaled.numerator}{suffix}"
    return "0" if value == 0 else f"{ceil(value * 10**9)}n"


def _binary(value: Fraction) -> str:
    if value.denominator != 1 or abs(value) < 1024:
        return decimal(value)
    for suffix, power in sorted(_BINARY.items(), key=lambda entry: -entry[1]):
        scaled = value / Fraction(1024) ** power
        if scaled.denominator == 1:
            return f"{scaled.numerator}{suffix}"
    return str(value.numerator)


def _match(text: str | float) -> re.Match[str]:
    match = None if isinstance(text, bool) else _QUANTITY.fullmatch(str(text).strip())
    if match is None:
        raise ValueError(MALFORMED)
    return match
