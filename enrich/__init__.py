"""The workers: a deterministic function from a host's stream to documents."""
