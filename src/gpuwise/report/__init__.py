"""The weekly report as HTML, Markdown and JSON: three views of one `WeeklyReport`.

Forbidden here: reading sources and computing money; a view only formats.
"""

from gpuwise.report.render import (
    Paths,
    render_html,
    render_json,
    render_markdown,
    render_waiting,
    stylesheet,
    write_report,
)
from gpuwise.report.wording import headline

__all__ = [
    "Paths",
    "headline",
    "render_html",
    "render_json",
    "render_markdown",
    "render_waiting",
    "stylesheet",
    "write_report",
]
