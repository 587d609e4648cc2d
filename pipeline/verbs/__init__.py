"""The verbs of `darkroom` that have to do with clusters."""
