"""The host agent: loads the probes, drains the ring, adds what only the host can know, and writes the spool."""
