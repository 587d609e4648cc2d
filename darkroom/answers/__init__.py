"""A model's answers to images, and what metrics and curves are computed from."""
