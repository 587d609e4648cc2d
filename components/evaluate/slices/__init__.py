"""Metrics of all test images and of every slice, computed by Beam and TFMA."""
