"""How long an endpoint stays warm after its last request: one constant for its activator, revised weekly (`weekly`)."""
