"""The models that are asked: a SavedModel in this process, or one that is served."""
