"""Calls of a model's signatures."""
