"""The GPU type on which work costs least."""
