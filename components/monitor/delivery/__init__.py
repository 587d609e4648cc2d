"""Tells people of alerts, by the channels that are set."""
