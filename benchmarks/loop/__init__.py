"""The whole circle on this machine: train, serve, a world that changes, a model that follows."""
