"""The metrics, and how they are computed over the test split."""
