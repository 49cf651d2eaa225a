"""The cost of the fleet: the bill, the cost per team and workload, and the weekly report.

Pure: no clock, environment, network, file, log or unseeded randomness.
"""

from gpuwise.finops.bill import bill, fleet_days
from gpuwise.finops.daily import daily_costs, days_of
from gpuwise.finops.past import past_nodes, remembered
from gpuwise.finops.period import Period
from gpuwise.finops.realised import applied_usd_month, realised_usd_month, still_there
from gpuwise.finops.report import compile_report
from gpuwise.finops.settings import FinopsSettings
from gpuwise.finops.shares import cost_by_team, cost_by_workload
from gpuwise.model.tagging import Tags

__all__ = [
    "FinopsSettings",
    "Period",
    "Tags",
    "applied_usd_month",
    "bill",
    "compile_report",
    "cost_by_team",
    "cost_by_workload",
    "daily_costs",
    "days_of",
    "fleet_days",
    "past_nodes",
    "realised_usd_month",
    "remembered",
    "still_there",
]
