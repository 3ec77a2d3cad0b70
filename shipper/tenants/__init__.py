"""Tenants: sets of containers, which overlap, and what each asks to have recorded."""
