"""Sessions at terminals: their lives, what was shown and consumed, and what of it nobody may read."""
