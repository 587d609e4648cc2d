"""Alerts: what somebody must look at, opened and closed as the windows say, and damped."""
