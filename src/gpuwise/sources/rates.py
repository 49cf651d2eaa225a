"""Exchange rates by date, from a CSV file with the columns currency, rate and date."""

from pathlib import Path

from gpuwise.sources.dates import date_s
from gpuwise.sources.tables import rows, text_of

_COLUMNS = ("currency", "rate", "date")


def read_rates(path: Path | None, now_s: int | None) -> dict[str, float]:
    """Read the newest rate of each currency that is not in the future.

    Args:
        path: a CSV file; None has no rates.
        now_s: epoch seconds; None counts every rate.

    Returns:
        US dollars for one unit, by currency; dollars themselves are 1.

    Raises:
        InputError: the file is not valid; the error names file, line, field, text and hint.
    """
    newest: dict[str, tuple[int, float]] = {}
    seen: set[tuple[str, int]] = set()
    for row in () if path is None else rows(str(path), text_of(path, "file of rates"), _COLUMNS):
        code, at_s = row.text("currency").upper(), date_s(row.text("date"))
        if len(code) != 3 or not code.isalpha():
            row.refuse("currency", "write the code of ISO 4217, such as EUR")
        if at_s is None:
            row.refuse("date", "write the date as 2026-11-27")
        if (code, at_s) in seen:
            row.refuse("date", f"keep one rate of {code} for each date")
        seen.add((code, at_s))
        rate = row.positive("rate", "write US dollars for one unit, such as 1.08")
        if (now_s is None or at_s <= now_s) and at_s >= newest.get(code, (at_s, 0.0))[0]:
            newest[code] = (at_s, rate)
    return {code: rate for code, (_, rate) in newest.items()} | {"USD": 1.0}
