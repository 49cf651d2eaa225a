"""The smallest number of nodes that a fleet's pods fit on, and the pods to move to get there."""
