"""What the cost history says, for the CLI, the service and the report.

`budgets` has budgets, lasting steps, weeks and measured savings, `owners` tags and what was forgotten, `measures` KPIs
and returns. Forbidden here: reading usage.
"""

from gpuwise.spending.budgets import anomalies, budgets, measured, weeks, weeks_by_team
from gpuwise.spending.measures import kpis, returns, unserved
from gpuwise.spending.owners import ORPHAN_LEVELS, SCAN, orphans, tagging

__all__ = [
    "ORPHAN_LEVELS",
    "SCAN",
    "anomalies",
    "budgets",
    "kpis",
    "measured",
    "orphans",
    "returns",
    "tagging",
    "unserved",
    "weeks",
    "weeks_by_team",
]
