"""Doors: the ways in which a model is asked; through each it gives the same answers."""
