"""Recordings of terminals: found in the store, played safely, exported."""
