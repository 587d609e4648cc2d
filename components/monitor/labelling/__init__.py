"""What to label next, by way of a labelling tool, and labels that a model gives itself."""
