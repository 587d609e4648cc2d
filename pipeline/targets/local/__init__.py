"""The graph run here: a process a step, a cache by content, a log and a table."""
