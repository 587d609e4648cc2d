"""Tests that may be looked at window after window, with false alarms stated over a model's life."""
