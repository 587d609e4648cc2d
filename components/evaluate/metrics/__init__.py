"""The metrics of an evaluation, each one object: a new module here adds its own."""
