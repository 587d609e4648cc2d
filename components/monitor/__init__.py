"""Monitoring of a model in production: what tells drift and a fall of quality from chance."""
