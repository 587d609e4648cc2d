"""The versions of a model: followed, loaded, and which of them answers."""
