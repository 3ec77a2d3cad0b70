"""The spool to Kafka: a process beside the agent."""

LOCK, STATUS = "publish.lock", "publish.json"
"""Files in the data folder: who publishes, and how it goes."""
