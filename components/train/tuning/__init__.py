"""Tuning: many short trainings that search for the settings to train with."""
