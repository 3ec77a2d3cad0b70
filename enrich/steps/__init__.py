"""The steps that a record goes through, in the order of `enrich.pipeline`."""
