"""Forwards to `gpuwise.sources.recording`."""

from gpuwise.sources.recording import *  # noqa: F403
