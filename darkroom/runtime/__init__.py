"""How any step is called, logs, ends, and what it records of itself."""
