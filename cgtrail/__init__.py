"""The front door: the `cgtrail` command. It imports the agent and the workers; nobody imports it."""
