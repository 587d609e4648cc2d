"""Decoding and checking photographs, and cutting them into tiles."""
