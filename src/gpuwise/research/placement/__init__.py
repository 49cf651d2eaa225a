"""Chooses nodes for pods so that the least GPU capacity is left unusable."""
