"""Resource quantities as the Kubernetes API writes them: "4", "3k", "500m", "2Gi"."""

import re
from fractions import Fraction

# Suffixes: apimachinery's resource.Quantity. The API server canonicalises values: "3000" is returned as "3k".
_SCALE = {
    "": Fraction(1),
    "n": Fraction(1, 10**9),
    "u": Fraction(1, 10**6),
    "m": Fraction(1, 1000),
    "k": Fraction(10**3),
    "M": Fraction(10**6),
    "G": Fraction(10**9),
    "T": Fraction(10**12),
    "P": Fraction(10**15),
    "E": Fraction(10**18),
    "Ki": Fraction(2**10),
    "Mi": Fraction(2**20),
    "Gi": Fraction(2**30),
    "Ti": Fraction(2**40),
    "Pi": Fraction(2**50),
    "Ei": Fraction(2**60),
}
_QUANTITY = re.compile(r"([+-]?(?:\d{1,30}\.?\d{0,30}|\.\d{1,30}))(?:[eE]([+-]?\d{1,2})|([numkMGTPE]|[KMGTPE]i)?)")


def quantity(text: str | float) -> Fraction:
    """The value of a quantity.

    Raises:
        ValueError: the text is not a valid quantity.
    """
    match = _QUANTITY.fullmatch(str(text))
    if match is None:
        raise ValueError(f"{text!r} is not a Kubernetes quantity")
    exponent = Fraction(10) ** int(match[2]) if match[2] else Fraction(1)
    return Fraction(match[1]) * exponent * _SCALE[match[3] or ""]


def count(text: str | float) -> int:
    """The number of devices given by a quantity.

    Raises:
        ValueError: the text is not a quantity, is negative, or is not a whole number: a device cannot be split.
    """
    value = quantity(text)
    if value.denominator != 1 or value < 0:
        raise ValueError(f"{text!r} is not a number of devices")
    return int(value)
