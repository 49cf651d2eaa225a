"""The report of a survey: what the fleet cost, what could be saved, and what was done about it; and of one team's part.

The loop finds and acts, see `pipeline`; this compiles its findings and the ledger's actions for people. Forbidden here:
finding or changing anything. What `teams` gives to tasks has no ledger and no source in it.
"""

from gpuwise.weekly.teams import of_team, team_parts, team_report, team_reports
from gpuwise.weekly.week import Week, budgets, hour_of_week, read_week, summary

__all__ = [
    "Week",
    "budgets",
    "hour_of_week",
    "of_team",
    "read_week",
    "summary",
    "team_parts",
    "team_report",
    "team_reports",
]
