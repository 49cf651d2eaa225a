"""The weekly report: one noun, three views (HTML, Markdown, JSON).

Forbidden here: reading sources and computing money; a view only shows.
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
