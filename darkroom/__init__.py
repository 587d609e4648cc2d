"""What every step stands on: formats, storage, running a step. Imports no component."""
