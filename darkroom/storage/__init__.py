"""Paths and URIs, atomic writes and locks."""
