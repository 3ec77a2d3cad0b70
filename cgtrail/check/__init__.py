"""`cgtrail check`: what can be recorded on this host, and what to do about what can't. It changes nothing.

Each module looks at one subject; `report` asks them in turn.
"""
