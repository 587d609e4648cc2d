"""Vertex Pipelines: compiled jobs, runs and schedules, through google-cloud-aiplatform."""
