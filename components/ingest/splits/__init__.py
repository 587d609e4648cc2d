"""Which split a photograph is in, and what is a copy of it."""
