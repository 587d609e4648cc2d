"""The sections of a config that are no step's: the cluster, and what triggers runs."""
