"""Strategies, workers and the training context."""
