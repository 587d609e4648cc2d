"""Runs that start themselves: new photographs, a fall in quality, and never two at once."""
