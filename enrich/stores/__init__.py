"""Reading documents back: one declared query language over every store."""
