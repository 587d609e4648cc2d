"""Shards: written chunk by chunk, then finalized."""
