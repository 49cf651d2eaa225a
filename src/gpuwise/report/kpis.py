"""KPIs as Markdown and as HTML, for the report and for a command of their own."""

from collections.abc import Sequence

from gpuwise.model.report import Kpi
from gpuwise.report.render import fragment
from gpuwise.report.wording import kpi_value

__all__ = ["kpi_value", "kpis_html", "kpis_markdown"]


def kpis_markdown(found: Sequence[Kpi], title: str, missing: str = "") -> str:
    """A table of KPIs in Markdown.

    Args:
        found: the KPIs.
        title: its heading.
        missing: which days are not known, "" if all are.
    """
    return fragment("kpis.md", html=False, kpis=found, title=title, missing=missing)


def kpis_html(found: Sequence[Kpi], title: str, missing: str = "") -> str:
    """A table of KPIs as a part of a page.

    Args:
        found: the KPIs.
        title: its heading.
        missing: which days are not known, "" if all are.
    """
    return fragment("kpis.html", html=True, kpis=found, title=title, missing=missing)
