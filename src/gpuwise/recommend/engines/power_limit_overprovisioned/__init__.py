"""The power limit at which work is expected to keep its speed."""
