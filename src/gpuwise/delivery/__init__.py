"""Sends a report by e-mail and Slack, at most once for a week, and writes it as PDF by the Chromium that is installed.

Forbidden here: computing what a report says; `report` renders it.
"""
