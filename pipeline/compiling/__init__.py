"""The graph as the file that a cluster runs."""
