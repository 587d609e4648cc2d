"""A canary's promotion by what its server measures, and by labels of what it has answered."""
