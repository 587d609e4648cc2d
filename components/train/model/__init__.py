"""The network, its losses, optimizer and phases."""
