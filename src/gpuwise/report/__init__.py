"""The weekly report: one noun, three views (HTML, Markdown, JSON).

Forbidden here: reading sources and computing money; a view only shows.
"""
