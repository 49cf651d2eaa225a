"""The weekly report as HTML, Markdown, JSON, e-mail and Slack blocks: views of one `WeeklyReport`.

Forbidden here: reading sources and computing money; a view only formats.
"""

from gpuwise.report.mail import render_email
from gpuwise.report.render import (
    Paths,
    render_html,
    render_json,
    render_markdown,
    render_waiting,
    stylesheet,
    write_report,
)
from gpuwise.report.slack import render_slack
from gpuwise.report.subject import subject
from gpuwise.report.wording import headline

__all__ = [
    "Paths",
    "headline",
    "render_email",
    "render_html",
    "render_json",
    "render_markdown",
    "render_slack",
    "render_waiting",
    "stylesheet",
    "subject",
    "write_report",
]
