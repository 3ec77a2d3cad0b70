"""What the agent publishes: registry records, frames, segment files and their reader. Workers import only this."""
