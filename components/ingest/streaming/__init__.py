"""Photographs that keep arriving, in windows of time."""
