"""The cost history over HTTP: what `gpuwise cost`, `budget` and `anomalies` print with `-o json`."""

from collections.abc import Callable

from fastapi import FastAPI, Response
from fastapi.responses import JSONResponse

from gpuwise.model.codec import to_json
from gpuwise.model.errors import GpuwiseError, InputError
from gpuwise.model.report import WeeklyReport

CostDocument = Callable[[str, str, str], str]
"""Called with keys, window and spread as `gpuwise cost` takes them; returns its JSON."""


def serve_spending(app: FastAPI, newest: Callable[[], WeeklyReport], cost: CostDocument | None) -> None:
    """Add the endpoints.

    Args:
        app: the service.
        newest: returns the latest report, or raises an error that the service answers.
        cost: computes the cost by keys; None if there is no cost history to read.
    """

    @app.get("/api/v1/budgets")
    def budgets() -> Response:
        """The budgets of this month as of the latest report, over all clusters in the ledger's database."""
        return _json(to_json(newest().budgets))

    @app.get("/api/v1/anomalies")
    def anomalies() -> Response:
        """Lasting steps in the cost of teams that began in the four weeks before the latest report."""
        return _json(to_json(newest().anomalies))

    if cost is None:
        return

    @app.get("/api/v1/cost")
    def costs(by: str = "team", window: str = "month", spread: str = "none") -> Response:
        """Who pays for what: the lines sum to the total.

        Args:
            by: keys of the allocation, separated by commas.
            window: such as month, last-week, 30d, 2026-05 or FROM..TO.
            spread: how the cost of time that no pod was allocated is divided: none, proportional or even.
        """
        try:
            return _json(cost(by, window, spread))
        except GpuwiseError as error:
            status = 422 if isinstance(error, InputError) else 503
            return JSONResponse({"problem": error.problem, "hint": error.hint}, status_code=status)


def _json(text: str) -> Response:
    return Response(text, media_type="application/json")
