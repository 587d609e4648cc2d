"""Slices of the test photographs, and the metrics of each."""
