"""Tests on the running kernel, in containers that do one known thing and report it themselves."""
