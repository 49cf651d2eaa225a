"""How few nodes a fleet's pods fit on, and which pods move to get there."""
