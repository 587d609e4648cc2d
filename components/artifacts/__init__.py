"""The formats that pass between steps: the only room every component may import."""
