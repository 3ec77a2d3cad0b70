"""Typed lines as commands: what each started, how it ended and what it showed, and the documents about it."""
