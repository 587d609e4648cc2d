"""Kubeflow Pipelines, over its REST API (v2beta1)."""

from pipeline.kubeflow.orchestrator import Kubeflow

__all__ = ["Kubeflow"]
