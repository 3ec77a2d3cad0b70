"""The spool to Kafka: a process beside the agent."""
