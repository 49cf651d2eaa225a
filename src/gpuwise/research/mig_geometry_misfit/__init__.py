"""Which MIG slice of which GPU serves which pod."""
