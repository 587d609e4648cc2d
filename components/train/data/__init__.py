"""Batches of transformed examples."""
