"""Whether the pods of a node fit into the free capacity of the others."""
