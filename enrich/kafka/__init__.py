"""The log between hosts and workers: reads it, keeps workers' state and dead letters in it."""
