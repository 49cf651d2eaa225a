"""How numbers are written for people: None is unknown, never 0."""

from datetime import UTC, datetime

from gpuwise.model.recommendation import Change, MoveToSpot, Resize, ScaleTo


def usd(amount: float | None) -> str:
    """Whole dollars from ten up, cents below."""
    if amount is None:
        return "unknown"
    return f"${amount:,.0f}" if abs(amount) >= 10 else f"${amount:,.2f}"


def hours(amount: float | None) -> str:
    """GPU-hours."""
    return "unknown" if amount is None else f"{amount:,.0f}" if amount >= 10 else f"{amount:,.1f}"


def instant(at_s: int) -> str:
    """UTC, to the minute."""
    return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%d %H:%MZ")


def change(what: Change) -> str:
    """What to do, in a few words."""
    match what:
        case ScaleTo(replicas=0):
            return "stop it"
        case ScaleTo(replicas=count):
            return f"scale to {count}"
        case Resize(current=current, proposed=proposed):
            return f"{_request(current.resource, current.count)} to {_request(proposed.resource, proposed.count)}"
        case MoveToSpot():
            return "move to spot"


def _request(resource: str, count: int) -> str:
    return f"{count} x {resource.removeprefix('nvidia.com/')}"
